//! The list of an answer. An empty one is written as `[]`, as `null` (Go), or is left
//! out; the last two may be an answer that went wrong: they are believed only where the
//! declaration says so, or the group says beside it that it has no members.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Rest, answers,
    calls::Answer,
    memory::LAG,
    operation::{Name, Operation},
    paging::unclear,
    pointer::Pointer,
    settings::{KnownBy, Settings},
    template::Values,
};
use crate::upstream::{UpstreamError, client::note_fault};

/// How an empty list is written that is neither `[]` nor `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    /// Its key is left out.
    Absent,
}

/// What would explain a list that is not there.
pub(super) const SETTING: &str = "empty = \"absent\"";

/// What tells of an answer that went wrong beside a list that is left out or null.
const TELLS: [&str; 12] = [
    "message",
    "msg",
    "detail",
    "reason",
    "error",
    "errors",
    "title",
    "warning",
    "warnings",
    "incomplete",
    "partial",
    "truncated",
];
/// What counts the entries of a list, without underscores: then it is not empty.
const COUNTS: [&str; 4] = ["total", "count", "totalcount", "totalresults"];

impl Rest {
    /// The entries of a list, on this page of it. That there is none is told also where
    /// it is read to find out what a call did.
    pub(super) async fn list(
        &self,
        name: Name,
        answer: &Answer,
        about: (&Values<'_>, bool),
    ) -> Result<Vec<Value>, UpstreamError> {
        let list = self.list_of(name, answer, about).await;
        list.inspect_err(|error| note_fault(|| format!("{}: {error}", name.key())))
    }

    async fn list_of(
        &self,
        name: Name,
        answer: &Answer,
        (values, is_first): (&Values<'_>, bool),
    ) -> Result<Vec<Value>, UpstreamError> {
        let operation = self.declared(name)?;
        let items = operation.items.clone().unwrap_or_default();
        match read(&answer.value, name, operation, &self.settings) {
            Some(list) => Ok(list),
            // An empty body may be an answer that got lost.
            None if is_top(&items) && answer.value.is_null() && !answer.is_blank => Ok(Vec::new()),
            None if is_left_out(&answer.value, &items, name, &self.settings) => {
                if is_first && self.says_empty(name, values).await? {
                    return Ok(Vec::new());
                }
                Err(unclear(format!(
                    "the answer holds no list at {items}; where an empty one is left out, write \
                     {SETTING} for operations.{}",
                    name.key()
                )))
            }
            None => Err(unclear(format!("the answer holds no list at {items}"))),
        }
    }

    /// Whether the group whose members are read says that it has none: as it was shown
    /// just now, or else as a look shows it.
    async fn says_empty(&self, name: Name, values: &Values<'_>) -> Result<bool, UpstreamError> {
        let hole = match self.settings.group.known_by {
            KnownBy::Id => "group.id",
            KnownBy::Email | KnownBy::Name => "group.name",
        };
        let group = values.iter().find(|(key, _)| *key == hole);
        let Some((_, group)) = group.filter(|_| name == Name::ListMembers) else {
            return Ok(false);
        };
        if self.memory.members_of(group) != Some(0) {
            return Ok(false);
        }
        if self.memory.was_shown_within(group, LAG) {
            return Ok(true);
        }
        // Reading all groups is what asks for this, perhaps, but it reads no members.
        let now = Box::pin(self.look_for_group(group)).await?;
        Ok(now.is_some_and(|it| it.member_count == Some(0)))
    }
}

/// The list, unless it is not there.
fn read(
    answer: &Value,
    name: Name,
    operation: &Operation,
    settings: &Settings,
) -> Option<Vec<Value>> {
    let items = operation.items.clone().unwrap_or_default();
    match items.of(answer) {
        Some(Value::Array(list)) => Some(list.clone()),
        Some(Value::Null) | None
            if operation.empty == Some(Empty::Absent)
                && is_left_out(answer, &items, name, settings) =>
        {
            Some(Vec::new())
        }
        _ => None,
    }
}

/// The one thing of an answer, or those of a list that may be it.
pub(super) fn candidates(
    answer: &Value,
    name: Name,
    operation: &Operation,
    settings: &Settings,
) -> Result<Vec<Value>, UpstreamError> {
    let items = operation.items.clone().unwrap_or_default();
    match (read(answer, name, operation, settings), items.of(answer)) {
        (Some(list), _) => Ok(list),
        (None, Some(Value::Null)) => Ok(Vec::new()),
        (None, Some(one @ Value::Object(_))) => Ok(vec![one.clone()]),
        _ => Err(unclear(format!(
            "the answer holds neither one thing nor a list at {items}"
        ))),
    }
}

fn is_top(items: &Pointer) -> bool {
    items.as_str().is_empty()
}

/// Whether what would hold the list is there without it, and neither tells why nor holds
/// the list by another name.
fn is_left_out(answer: &Value, items: &Pointer, name: Name, settings: &Settings) -> bool {
    if items.of(answer).is_some_and(|it| !it.is_null()) || is_top(items) {
        return false;
    }
    let holder = items.within(answer).and_then(Value::as_object);
    let tells = |object: &Map<String, Value>| {
        object.iter().any(|(key, value)| {
            let is_said = !matches!(value, Value::Null | Value::Bool(false));
            let key = key.to_lowercase().replace('_', "");
            let counts = COUNTS.contains(&key.as_str()) && *value != 0 && value != "0";
            is_said && (counts || TELLS.contains(&key.as_str()))
        })
    };
    let is_row = |row: &Value| row.is_object() && answers::key(name, row, settings).is_some();
    let holds_rows = |object: &Map<String, Value>| {
        let mut lists = object.values().filter_map(Value::as_array);
        lists.any(|list| list.iter().any(is_row))
    };
    let top = answer.as_object();
    holder.is_some_and(|it| !tells(it) && !holds_rows(it)) && !top.is_some_and(tells)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn declared(items: &str, more: &str) -> Settings {
        let text = format!(
            r#"
            user = {{ id = "/id", account = "/mail" }}
            member = {{ id = "/id" }}
            [operations]
            list_members = {{ path = "/x", items = {items:?}{more} }}
            find_user = {{ path = "/x", items = {items:?}{more} }}
            "#
        );
        toml::from_str(&text).unwrap()
    }

    fn count(settings: &Settings, answer: &Value) -> (Option<usize>, Option<usize>) {
        let name = Name::ListMembers;
        let list = read(answer, name, settings.operation(name).unwrap(), settings);
        let name = Name::FindUser;
        let found = candidates(answer, name, settings.operation(name).unwrap(), settings);
        (list.map(|it| it.len()), found.ok().map(|it| it.len()))
    }

    #[test]
    fn lists_and_single_things_are_told_apart_and_an_empty_one_is_none_by_mistake() {
        let plain = declared("/rows", "");
        let absent = declared("/rows", ", empty = \"absent\"");
        for (answer, of_list, of_search) in [
            (json!({ "rows": [1] }), Some(1), Some(1)),
            (json!({ "rows": [] }), Some(0), Some(0)),
            (json!({ "rows": { "a": 1 } }), None, Some(1)),
            (json!({ "rows": "x" }), None, None),
            (json!({ "rows": false }), None, None),
            (json!([]), None, None),
            (json!(null), None, None),
        ] {
            for settings in [&plain, &absent] {
                let found = count(settings, &answer);
                assert_eq!(found, (of_list, of_search), "{answer}");
            }
        }
        for left_out in [
            json!({}),
            json!({ "kind": "members", "links": [{ "rel": "self" }], "total": 0 }),
        ] {
            assert_eq!(count(&plain, &left_out), (None, None), "{left_out}");
            assert_eq!(count(&absent, &left_out), (Some(0), Some(0)), "{left_out}");
        }
        // One thing that is not there is none; a list may be one that went wrong.
        let null = json!({ "rows": null });
        assert_eq!(count(&plain, &null), (None, Some(0)));
        assert_eq!(count(&absent, &null), (Some(0), Some(0)));
        let told = json!({ "rows": null, "message": "timeout" });
        assert_eq!(count(&absent, &told).0, None);
        for other in [
            json!({ "message": "the directory is being moved" }),
            json!({ "warnings": ["cut"] }),
            json!({ "total": 5 }),
            json!({ "error": { "code": 500 } }),
            json!({ "entries": [{ "id": 7 }] }),
        ] {
            assert_eq!(count(&absent, &other), (None, None), "{other}");
        }
    }

    #[test]
    fn what_would_hold_the_list_has_to_be_there() {
        let absent = declared("/data/rows", ", empty = \"absent\"");
        for (answer, found) in [
            (json!({ "data": {} }), Some(0)),
            (json!({ "data": { "rows": null } }), Some(0)),
            (json!({ "data": null }), None),
            (json!({ "data": [] }), None),
            (json!({}), None),
            (json!({ "data": {}, "message": "try again" }), None),
        ] {
            assert_eq!(count(&absent, &answer).0, found, "{answer}");
        }
        let whole = declared("", "");
        assert_eq!(count(&whole, &json!([1, 2])).0, Some(2));
        assert_eq!(count(&whole, &json!(null)), (None, Some(0)));
    }
}
