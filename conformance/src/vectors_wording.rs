//! What a vector proves, as a sentence: which resources of the corpus a filter
//! finds, what a PATCH leaves behind, whether a path is understood, or with
//! which error it is refused. Made of the same members that the case is made of.

use serde_json::Value;

/// Longer values are cut.
const LONGEST: usize = 120;

pub(super) fn said(vector: &Value) -> String {
    let word = |key: &str| vector[key].as_str().unwrap_or_default();
    if vector["filter"].is_string() {
        return format!("{}: {}", word("filter"), found(vector));
    }
    if vector["path"].is_string() {
        let what = format!("{} at {}", word("op"), word("path"));
        if vector["valid"] == true {
            return format!("{what}: the path is understood and the operation done");
        }
        return format!("{what}: {}", refused(&vector["scimType"], 400));
    }
    let others = vector["also"].as_array().map_or(0, Vec::len);
    let left_open = match others {
        0 => "",
        _ => " (the RFC leaves another outcome open)",
    };
    format!("{}: {}{left_open}", word("name"), after(vector))
}

fn found(vector: &Value) -> String {
    if vector["invalid"] == true {
        return refused(&vector["scimType"], 400);
    }
    let keys = names(&vector["match"]);
    let others = vector["also"].as_array().into_iter().flatten();
    let others: Vec<String> = others
        .map(|other| match other {
            Value::Array(_) => nothing_or(&names(other)),
            _ => "a refusal".to_owned(),
        })
        .collect();
    match others.as_slice() {
        [] => format!("finds {}", nothing_or(&keys)),
        others => format!("finds {}, or {}", nothing_or(&keys), others.join(", or ")),
    }
}

fn nothing_or(names: &str) -> String {
    match names {
        "" => "none of the corpus".to_owned(),
        names => format!("exactly {names}"),
    }
}

/// What the resource shows that it did not show before.
fn after(vector: &Value) -> String {
    let expect = &vector["expect"];
    let error = &expect["error"];
    if error.is_object() {
        let status = error["status"].as_u64().unwrap_or(400);
        let refused = refused(&error["scimType"], status);
        return format!("{refused}, and the resource stays as it was");
    }
    if expect["unmodified"] == true {
        return "nothing changes, meta.lastModified neither".to_owned();
    }
    let none = serde_json::Map::new();
    let before = vector["before"].as_object().unwrap_or(&none);
    let after = expect["after"].as_object().unwrap_or(before);
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| format!("{key} is gone"));
    let other = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let other = other.map(|(key, value)| format!("{key} is {}", cut(&value.to_string())));
    let changes: Vec<String> = other.chain(gone).collect();
    match changes.as_slice() {
        [] => "the resource stays as it was".to_owned(),
        changes => format!("afterwards {}", changes.join(", ")),
    }
}

fn refused(types: &Value, status: u64) -> String {
    match names(types).as_str() {
        "" => format!("refused with {status}"),
        types => format!("refused with {status} {types}"),
    }
}

/// One name, or several.
fn names(of: &Value) -> String {
    match of {
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(", ")
        }
        name => name.as_str().unwrap_or_default().to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vector_says_what_it_finds_leaves_or_refuses() {
        for (vector, sentence) in [
            (
                json!({"filter": "a pr", "match": ["x", "y"], "also": [[], {"invalid": true}]}),
                "a pr: finds exactly x, y, or none of the corpus, or a refusal",
            ),
            (
                json!({"filter": "a", "invalid": true, "scimType": "invalidFilter"}),
                "a: refused with 400 invalidFilter",
            ),
            (
                json!({"path": "a.b", "op": "add", "valid": true}),
                "add at a.b: the path is understood and the operation done",
            ),
            (
                json!({"name": "n", "before": {"a": 1, "b": 2}, "expect": {"after": {"a": 3}}}),
                "n: afterwards a is 3, b is gone",
            ),
            (
                json!({"name": "n", "expect": {"error": {"status": 400, "scimType": ["noTarget"]}}, "also": [{}]}),
                "n: refused with 400 noTarget, and the resource stays as it was (the RFC leaves another outcome open)",
            ),
        ] {
            assert_eq!(said(&vector), sentence);
        }
    }
}
