//! Audit rows as events for other systems: one JSON object for each thing that
//! was done, with the class names of OCSF 1.x and, where it is a change of a
//! SCIM resource, the event URI of RFC 9967. Ids and counts only; no personal
//! data is in an audit row to begin with.

use serde_json::{Map, Value, json};

use crate::store::audit::{AuditRow, CUT};

const EVENT: &str = "urn:ietf:params:scim:event:prov:";

/// OCSF: a class and what it calls the activity.
struct Class {
    uid: u32,
    name: &'static str,
    activity_id: u32,
    activity: &'static str,
}

const fn class(uid: u32, name: &'static str, activity_id: u32, activity: &'static str) -> Class {
    Class {
        uid,
        name,
        activity_id,
        activity,
    }
}

const fn account(activity_id: u32, activity: &'static str) -> Class {
    class(3001, "Account Change", activity_id, activity)
}

const fn group(activity_id: u32, activity: &'static str) -> Class {
    class(3006, "Group Management", activity_id, activity)
}

const fn call(activity_id: u32, activity: &'static str) -> Class {
    class(6003, "API Activity", activity_id, activity)
}

/// What a guard stopped, or what waits for an operator.
const fn finding(activity_id: u32, activity: &'static str) -> Class {
    class(2004, "Detection Finding", activity_id, activity)
}

/// The events of one row, in order; at least one.
pub fn of(row: &AuditRow) -> Vec<Value> {
    let detail: Value = serde_json::from_str(&row.detail).unwrap_or(Value::Null);
    match row.action.as_str() {
        "create_user" => vec![event(
            row,
            &account(1, "Create"),
            Some("create:notice"),
            &detail,
        )],
        "change_user" => vec![changed_user(row, &detail)],
        "delete_user" | "withdraw_user" => {
            vec![event(row, &account(6, "Delete"), Some("delete"), &detail)]
        }
        "restore_user" => vec![event(
            row,
            &account(99, "Other"),
            Some("put:notice"),
            &detail,
        )],
        "create_group" => {
            let mut all = vec![event(
                row,
                &group(6, "Create"),
                Some("create:notice"),
                &detail,
            )];
            all.extend(members(row, &detail));
            all
        }
        "change_group" => changed_group(row, &detail),
        "delete_group" | "withdraw_group" => {
            vec![event(row, &group(5, "Delete"), Some("delete"), &detail)]
        }
        "group_turn" | "user_turn" => turn(row, &detail),
        "create_token" | "revoke_token" | "expire_token" | "forget_token" => {
            let mut event = event(row, &account(99, "Other"), None, &detail);
            event["user"] = json!({ "credential_uid": detail["token"] });
            vec![event]
        }
        "hold" | "refuse_protected" | "begin_recovery" | "drift" | CUT => {
            vec![found(row, &finding(1, "Create"), &detail)]
        }
        "approve_hold" | "reject_hold" | "expire_hold" | "end_recovery" => {
            vec![found(row, &finding(3, "Close"), &detail)]
        }
        _ => vec![event(row, &call(99, "Other"), None, &detail)],
    }
}

/// What a guard stopped or a reconciliation found, and what became of it: a
/// hold's events have its id in common.
fn found(row: &AuditRow, class: &Class, detail: &Value) -> Value {
    let mut event = event(row, class, None, detail);
    let id = detail["hold"].as_str().map(str::to_owned);
    let id = id.unwrap_or_else(|| row.number.to_string());
    event["finding_info"] = json!({ "uid": id, "title": row.action });
    (event["severity_id"], event["severity"]) = (4.into(), "High".into());
    event
}

fn changed_user(row: &AuditRow, detail: &Value) -> Value {
    let active = |key: &str| detail.get(key).and_then(Value::as_bool);
    match (active("was_active"), active("active")) {
        (Some(true), Some(false)) => event(row, &account(5, "Disable"), Some("deactivate"), detail),
        (Some(false), Some(true)) => event(row, &account(2, "Enable"), Some("activate"), detail),
        _ => event(row, &account(99, "Other"), Some(way(detail)), detail),
    }
}

/// How a resource was changed.
fn way(detail: &Value) -> &'static str {
    if detail["put"] == true {
        "put:notice"
    } else {
        "patch:notice"
    }
}

fn changed_group(row: &AuditRow, detail: &Value) -> Vec<Value> {
    let mut all = members(row, detail);
    if all.is_empty() || detail["attributes"] == true {
        all.push(event(row, &group(99, "Other"), Some(way(detail)), detail));
    }
    all
}

/// Who came and who went, one event for each direction.
fn members(row: &AuditRow, detail: &Value) -> Vec<Value> {
    let directions = [
        ("added", group(3, "Add User")),
        ("removed", group(4, "Remove User")),
    ];
    let named = directions.iter().filter_map(|(key, class)| {
        let ids = detail.get(key)?.as_array().filter(|ids| !ids.is_empty())?;
        let mut event = event(row, class, Some(way(detail)), &Value::Null);
        let users = ids.iter().map(|id| json!({ "uid": id })).collect();
        event["users"] = Value::Array(users);
        Some(event)
    });
    named.collect()
}

/// One event for each request that left, and one for a turn that needed none: that
/// one is no success where something was to be done all the same.
fn turn(row: &AuditRow, detail: &Value) -> Vec<Value> {
    let calls: Vec<_> = detail["calls"].as_array().into_iter().flatten().collect();
    let attempts: Vec<Value> = calls.into_iter().flat_map(attempts).collect();
    if attempts.is_empty() {
        let mut event = event(row, &call(99, "Other"), None, detail);
        set_status(&mut event, outcome_of(detail));
        return vec![event];
    }
    let one = |attempt: &Value| {
        let name = attempt["operation"].as_str().unwrap_or_default();
        let class = match name.split('_').next() {
            Some("create") => call(1, "Create"),
            Some("delete" | "deactivate") => call(4, "Delete"),
            _ => call(3, "Update"),
        };
        let mut event = event(row, &class, None, attempt);
        event["api"] = json!({ "operation": name });
        set_status(&mut event, attempt["outcome"].as_str());
        event["duration"] = attempt["millis"].clone();
        event
    };
    attempts.iter().map(one).collect()
}

/// How a turn ended in which nothing left, in the words of a call: the first call
/// that was held back says it, else what was refused without asking. What was only
/// put off is neither done nor refused.
fn outcome_of(detail: &Value) -> Option<&str> {
    let calls = detail["calls"].as_array().into_iter().flatten();
    let mut outcomes = calls.filter_map(|call| call["outcome"].as_str());
    let truth = |key: &str| detail[key].as_bool() == Some(true);
    let number = |key: &str| detail[key].as_u64().is_some_and(|n| n > 0);
    match outcomes.find(|it| *it != "done") {
        Some("later" | "denied") => Some("unknown"),
        Some(outcome) => Some(outcome),
        None if truth("group_refused") || truth("gone") => None,
        None if detail["refused"].as_bool() == Some(true) || number("refused") => None,
        None if detail["settled"].as_bool() == Some(false) || number("unsent") => Some("unknown"),
        None => Some("done"),
    }
}

fn set_status(event: &mut Value, outcome: Option<&str>) {
    let (id, status) = match outcome {
        Some("done") => (1, "Success"),
        Some("unknown" | "interrupted") => (0, "Unknown"),
        _ => (2, "Failure"),
    };
    event["status_id"] = id.into();
    event["status"] = status.into();
}

/// A call is one request, unless it says of which it was.
fn attempts(call: &Value) -> Vec<Value> {
    let Some(requests) = call["requests"].as_array() else {
        return vec![call.clone()];
    };
    let mut of_one = call.clone();
    if let Some(of_one) = of_one.as_object_mut() {
        of_one.remove("requests");
    }
    let of = |request: &Value| {
        let mut attempt = of_one.clone();
        attempt["outcome"] = request["outcome"].clone();
        attempt["millis"] = request["millis"].clone();
        attempt
    };
    requests.iter().map(of).collect()
}

fn event(row: &AuditRow, class: &Class, scim: Option<&str>, detail: &Value) -> Value {
    let mut event = Map::new();
    let mut put = |key: &str, value: Value| event.insert(key.to_owned(), value);
    put("class_uid", class.uid.into());
    put("class_name", class.name.into());
    put("category_uid", (class.uid / 1_000).into());
    put("activity_id", class.activity_id.into());
    put("activity_name", class.activity.into());
    put("type_uid", (class.uid * 100 + class.activity_id).into());
    put("severity_id", 1.into());
    put("status_id", 1.into());
    put("status", "Success".into());
    put("time", row.at.into());
    put("actor", json!({ "user": { "uid": row.actor } }));
    if let Some(id) = row.resource {
        let id = json!({ "uid": id.to_string() });
        match class.uid {
            3006 => put("group", id),
            2004 => put("resources", json!([id])),
            6003 => put("resource", id),
            _ => put("user", id),
        };
    }
    if let Some(scim) = scim {
        put("scim_event", format!("{EVENT}{scim}").into());
    }
    put(
        "metadata",
        json!({
            "product": { "name": "drawbridge", "vendor_name": "drawbridge" },
            "uid": row.number.to_string(),
            "tenant_uid": row.connection,
            "event_code": row.action,
        }),
    );
    if !detail.is_null() {
        put("unmapped", detail.clone());
    }
    Value::Object(event)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scim::resource::ResourceId;

    fn row(action: &str, detail: &Value) -> AuditRow {
        AuditRow {
            number: 7,
            at: 1_000,
            key: 1,
            connection: "acme".into(),
            actor: "dbr_1".into(),
            action: action.into(),
            resource: Some(ResourceId::from_bytes([1; 16])),
            detail: detail.to_string(),
            chain: None,
        }
    }

    fn names(action: &str, detail: &Value) -> Vec<(u64, String)> {
        let events = of(&row(action, detail));
        let name = |event: &Value| {
            let scim = event["scim_event"].as_str().unwrap_or_default();
            let scim = scim.trim_start_matches(EVENT).to_owned();
            (event["type_uid"].as_u64().unwrap(), scim)
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn a_change_of_members_is_one_event_for_each_direction() {
        let detail =
            json!({ "version": 3, "attributes": false, "added": ["a", "b"], "removed": ["c"] });
        let expected = [
            (300_603, "patch:notice".to_owned()),
            (300_604, "patch:notice".to_owned()),
        ];
        assert_eq!(names("change_group", &detail), expected);
        let events = of(&row("change_group", &detail));
        assert_eq!(events[0]["users"], json!([{ "uid": "a" }, { "uid": "b" }]));
        assert_eq!(events[1]["users"], json!([{ "uid": "c" }]));
        assert_eq!(events[0]["metadata"]["uid"], "7");
    }

    #[test]
    fn a_replacement_is_none_of_a_part() {
        let detail = json!({ "put": true, "attributes": true, "added": ["a"], "removed": [] });
        let put = "put:notice".to_owned();
        let group = [(300_603, put.clone()), (300_699, put.clone())];
        assert_eq!(names("change_group", &detail), group);
        let detail = json!({ "put": true, "was_active": true, "active": true });
        assert_eq!(names("change_user", &detail), [(300_199, put)]);
    }

    #[test]
    fn activation_is_told_apart_from_other_changes() {
        let detail = |was: bool, is: bool| json!({ "was_active": was, "active": is });
        let name = |was, is| names("change_user", &detail(was, is))[0].1.clone();
        assert_eq!(name(true, false), "deactivate");
        assert_eq!(name(false, true), "activate");
        assert_eq!(name(true, true), "patch:notice");
    }

    #[test]
    fn every_attempt_is_an_event_with_its_outcome() {
        let call = |operation: &str, outcome: &str| json!({ "operation": operation, "outcome": outcome, "millis": 5 });
        let detail = json!({ "calls": [
            call("create_group", "done"), call("remove_members", "unknown"), call("delete_group", "rejected"),
        ] });
        let events = of(&row("group_turn", &detail));
        let told: Vec<_> = events
            .iter()
            .map(|event| {
                (
                    event["type_uid"].as_u64().unwrap(),
                    event["status"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (600_301, "Success"),
                (600_303, "Unknown"),
                (600_304, "Failure")
            ]
        );
    }

    #[test]
    fn a_call_of_several_requests_is_as_many_events_and_one_of_none_is_none() {
        let call = |requests: Value| json!({ "operation": "add_members", "outcome": "done", "millis": 5, "requests": requests });
        let told = |requests: Value| -> Vec<_> {
            let detail = json!({ "calls": [call(requests)] });
            let events = of(&row("group_turn", &detail));
            let told = events.iter().map(|event| {
                (
                    event["type_uid"].as_u64().unwrap(),
                    event["status"].as_str().unwrap().to_owned(),
                    event["duration"].as_u64(),
                )
            });
            told.collect()
        };
        let requests =
            json!([{ "outcome": "later", "millis": 1 }, { "outcome": "done", "millis": 2 }]);
        let failed = (600_303, "Failure".to_owned(), Some(1));
        let done = (600_303, "Success".to_owned(), Some(2));
        assert_eq!(told(requests), [failed, done]);
        assert_eq!(told(json!([])), [(600_399, "Success".to_owned(), None)]);
    }

    #[test]
    fn a_turn_that_sent_nothing_is_a_success_only_where_nothing_was_left_to_do() {
        let status = |detail: Value| of(&row("group_turn", &detail))[0]["status"].clone();
        let held = |outcome: &str| json!({ "calls": [{ "operation": "add_members", "outcome": outcome, "requests": [] }] });
        for (detail, expected) in [
            (held("later"), "Unknown"),
            (held("denied"), "Unknown"),
            (held("rejected"), "Failure"),
            (held("done"), "Success"),
            (json!({ "present": 2 }), "Success"),
            (json!({ "unsent": 2 }), "Unknown"),
            (json!({ "group_refused": true, "unsent": 2 }), "Failure"),
            (json!({ "refused": 1 }), "Failure"),
            (json!({ "refused": true, "settled": true }), "Failure"),
            (json!({ "refused": false, "settled": false }), "Unknown"),
            (json!({ "refused": false, "settled": true }), "Success"),
        ] {
            assert_eq!(status(detail.clone()), expected, "{detail}");
        }
    }

    #[test]
    fn a_hold_and_its_end_are_one_finding() {
        let detail = json!({ "hold": "h1", "rule": "group_removals" });
        let begun = &of(&row("hold", &detail))[0];
        let ended = &of(&row("approve_hold", &detail))[0];
        let type_of = |event: &Value| event["type_uid"].as_u64().unwrap();
        assert_eq!((type_of(begun), type_of(ended)), (200_401, 200_403));
        assert_eq!(begun["finding_info"]["uid"], "h1");
        assert_eq!(begun["finding_info"]["uid"], ended["finding_info"]["uid"]);
        assert_eq!(begun["severity_id"], 4);
        assert!(begun["resources"][0]["uid"].is_string(), "{begun}");
        assert_eq!(names("end_recovery", &json!({}))[0].0, 200_403);
    }

    #[test]
    fn a_token_is_told_by_its_id() {
        let mut row = row("revoke_token", &json!({ "token": "1a2b3c4d" }));
        row.resource = None;
        let event = &of(&row)[0];
        assert_eq!(event["type_uid"], 300_199);
        assert_eq!(event["user"]["credential_uid"], "1a2b3c4d");
        assert_eq!(event["metadata"]["event_code"], "revoke_token");
    }

    #[test]
    fn no_row_is_without_an_event() {
        for action in [
            "create_user",
            "pause",
            "import_group",
            "user_turn",
            "change_group",
            "new",
        ] {
            assert!(!of(&row(action, &json!({}))).is_empty(), "{action}");
        }
    }
}
