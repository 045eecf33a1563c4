//! Lists of the simulated Snyk: filtered, sorted where that is asked for, and
//! cut into pages. The link to the next page is absolute, from `/rest` on, and
//! from behind it, one after the other.

use serde_json::{Value, json};

use super::Decision;
use crate::simulator::stage::Incoming;

/// One page of what a list at `path` holds, with what the cursor holds on to of
/// each; only what is shown is written.
pub(super) fn page<Key: AsRef<str>, Row>(
    call: &Incoming,
    path: &str,
    rows: &[(Key, Row)],
    item: impl Fn(&Row) -> Value,
) -> Decision {
    let limit = match call.asked("limit").map(str::parse::<usize>) {
        None => 10,
        Some(Ok(limit)) if (10..=100).contains(&limit) && limit.is_multiple_of(10) => limit,
        Some(_) => return Decision::refuse(400, "limit: must be a multiple of 10 up to 100"),
    };
    let place_of = |cursor: &str| {
        let key = cursor.strip_prefix("v1.")?;
        rows.iter().position(|(row, _)| row.as_ref() == key)
    };
    let (start, end) = match (call.asked("starting_after"), call.asked("ending_before")) {
        (None, None) => (0, limit.min(rows.len())),
        (Some(after), None) => match place_of(after) {
            Some(place) => (place + 1, (place + 1 + limit).min(rows.len())),
            None => return Decision::refuse(400, "starting_after: unknown cursor"),
        },
        (None, Some(before)) => match place_of(before) {
            Some(place) => (place.saturating_sub(limit), place),
            None => return Decision::refuse(400, "ending_before: unknown cursor"),
        },
        (Some(_), Some(_)) => {
            return Decision::refuse(400, "give starting_after or ending_before, not both");
        }
    };
    let shown = &rows[start..end];
    let data: Vec<Value> = shown.iter().map(|(_, row)| item(row)).collect();
    let mut links = serde_json::Map::new();
    if let Some((last, _)) = shown.last().filter(|_| end < rows.len()) {
        let last = last.as_ref();
        let before = ["https://api.snyk.io/rest", "/rest", ""][(start / limit) % 3];
        let next = format!("{before}{path}?limit={limit}&starting_after=v1.{last}");
        let object = (start / limit) % 2 == 1;
        let link = if object {
            json!({ "href": next })
        } else {
            next.into()
        };
        links.insert("next".into(), link);
    }
    Decision::show(
        200,
        json!({ "jsonapi": { "version": "1.0" }, "data": data, "links": links }),
    )
}
