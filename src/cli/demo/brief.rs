//! JSON for one line: no schema URNs, short ids, long lists as a count.

use serde_json::Value;

/// How much to show.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Longer lists become a count.
    items: usize,
    depth: usize,
}

impl Room {
    pub(super) const REQUEST: Self = Self { items: 3, depth: 6 };
    pub(super) const CALL: Self = Self { items: 2, depth: 4 };
}

/// The body in brief.
pub(super) fn of(value: &Value, room: Room) -> String {
    let Some(deeper) = room.depth.checked_sub(1) else {
        return "..".to_owned();
    };
    let inner = Room {
        depth: deeper,
        ..room
    };
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> = map
                .iter()
                .filter(|(key, _)| *key != "schemas")
                .map(|(key, value)| format!("\"{key}\":{}", of(value, inner)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(items) if items.len() > room.items => format!("[{} of them]", items.len()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| of(item, inner)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => format!("\"{}\"", short_ids(text)),
        other => other.to_string(),
    }
}

/// UUIDs, also inside paths, shown by their last digits.
pub(super) fn short_ids(text: &str) -> String {
    let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(hex) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !hex(c)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        out.push_str(before);
        match run.get(28..) {
            Some(tail) if run.len() == 36 => {
                out.push_str("..");
                out.push_str(tail);
            }
            _ => out.push_str(run),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Room, of};

    #[test]
    fn what_identifies_nothing_is_left_out() {
        let body = json!({
            "schemas": ["urn:x"],
            "Operations": [{"op": "remove", "path": "members[value eq \"0197f3a2-1111-7222-8333-444455556666\"]"}],
            "many": [1, 2, 3, 4],
        });
        assert_eq!(
            of(&body, Room::REQUEST),
            "{\"Operations\":[{\"op\":\"remove\", \"path\":\"members[value eq \"..55556666\"]\"}], \"many\":[4 of them]}"
        );
    }
}
