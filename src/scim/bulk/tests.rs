//! Bulk requests: what is read of them, how references are resolved, in which
//! order the operations come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::schema::Schemas;

fn read(operations: Value) -> Result<BulkRequest, Problem> {
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
    parse(body.to_string().as_bytes(), &Limits::default())
}

fn resolved(operations: Value) -> BulkRequest {
    let mut request = read(operations).unwrap();
    let mut count = 0;
    request.resolve(&Schemas::new(&[], &[]), || {
        count += 1;
        format!("id-{count}")
    });
    request
}

fn post(bulk_id: &str, data: Value) -> Value {
    json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data})
}

fn status(request: &BulkRequest, place: usize) -> u16 {
    request.operations[place].act.as_ref().unwrap_err().status
}

#[test]
fn operations_are_read_with_what_they_aim_at() {
    let request = read(json!([
        post("a", json!({"userName": "a"})),
        {"METHOD": "put", "Path": "/Groups/1", "version": "W/\"2\"", "data": {}},
        {"method": "PATCH", "path": "Users/2", "data": {"Operations": []}},
        {"method": "DELETE", "path": "/Users/3", "data": "ignored"},
    ]))
    .unwrap();
    let acts: Vec<_> = request
        .operations
        .iter()
        .map(|o| o.act.as_ref().unwrap())
        .collect();
    let seen: Vec<_> = acts.iter().map(|a| (a.verb, a.of, a.id.as_str())).collect();
    assert_eq!(
        seen,
        [
            (Verb::Create, ResourceType::User, ""),
            (Verb::Replace, ResourceType::Group, "1"),
            (Verb::Patch, ResourceType::User, "2"),
            (Verb::Delete, ResourceType::User, "3"),
        ]
    );
    assert_eq!(request.operations[1].version.as_deref(), Some("W/\"2\""));
    assert_eq!(acts[3].data, Value::Null);
}

#[test]
fn what_is_wrong_with_the_message_refuses_all_of_it_and_says_where() {
    for operations in [
        json!(null),
        json!({}),
        json!([1]),
        json!([{"path": "/Users"}]),
        json!([{"method": 1, "path": "/Users"}]),
        json!([{"method": "POST", "path": "/Users", "data": {}}]),
        json!([{"method": "POST", "path": "/Users", "data": {}, "bulkId": ""}]),
        json!([post("a", json!({})), post("a", json!({}))]),
        json!([{"method": "DELETE", "Method": "PUT", "path": "/Users/1"}]),
    ] {
        let problem = read(operations.clone()).unwrap_err();
        assert_eq!(problem.status, 400, "{operations}");
        assert_eq!(problem.scim_type, Some(ScimType::InvalidSyntax));
        if operations.get(0).is_some() {
            assert!(problem.detail.starts_with("Operations["), "{problem}");
        }
    }
    for wrong in [json!(0), json!(-1), json!("1"), json!(1.5)] {
        let body = json!({"failOnErrors": wrong, "Operations": []}).to_string();
        assert!(
            parse(body.as_bytes(), &Limits::default()).is_err(),
            "{wrong}"
        );
    }
    let body = json!({"failOnErrors": 2.0, "Operations": []}).to_string();
    let request = parse(body.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(request.fail_on_errors, Some(2), "a whole number in JSON");
}

#[test]
fn what_is_wrong_with_one_operation_is_its_own_refusal() {
    let request = read(json!([
        {"method": "GET", "path": "/Users/1"},
        {"method": "DELETE", "path": "/Nothing/1"},
        {"method": "DELETE", "path": "/Users/1/2"},
        {"method": "DELETE", "path": "/Users/1?x=y"},
        {"method": "DELETE", "path": "/Users"},
        {"method": "POST", "path": "/Users/1", "bulkId": "a", "data": {}},
        {"method": "POST", "path": "/Bulk", "bulkId": "b", "data": {}},
        {"method": "PATCH", "path": "/Users/1"},
        {"method": "DELETE"},
    ]))
    .unwrap();
    let statuses: Vec<u16> = (0..9).map(|place| status(&request, place)).collect();
    assert_eq!(statuses, [400, 404, 404, 404, 405, 405, 400, 400, 400]);
}

#[test]
fn strict_reading_wants_the_message_to_name_itself() {
    let strict = Limits {
        strict: true,
        ..Limits::default()
    };
    let body = |schemas: Value| json!({"schemas": schemas, "Operations": []}).to_string();
    assert!(parse(body(json!([BULK_REQUEST])).as_bytes(), &strict).is_ok());
    for wrong in [json!(null), json!([]), json!(["urn:x"])] {
        assert!(
            parse(body(wrong.clone()).as_bytes(), &strict).is_err(),
            "{wrong}"
        );
        assert!(parse(body(wrong).as_bytes(), &Limits::default()).is_ok());
    }
}

#[test]
fn the_number_of_operations_is_bounded() {
    let limits = Limits {
        bulk_operations: 2,
        ..Limits::default()
    };
    let body = |count: usize| {
        let one = json!({"method": "DELETE", "path": "/Users/1"});
        json!({"Operations": vec![one; count]}).to_string()
    };
    assert!(parse(body(2).as_bytes(), &limits).is_ok());
    let problem = parse(body(3).as_bytes(), &limits).unwrap_err();
    assert_eq!((problem.status, problem.scim_type), (413, None));
    assert!(problem.detail.contains("maxOperations (2)"), "{problem}");
}

#[test]
fn references_are_resolved_wherever_a_schema_has_one() {
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let request = resolved(json!([
        {"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"operations": [
            {"op": "remove", "path": "members[value eq \"bulkId:u\" or VALUE eq \"bulkId:v\"]"},
            {"op": "add", "value": {"members": [{"value": "bulkId:u", "$ref": "../Users/bulkId:u"}]}},
            {"op": "add", "value": {"members[value eq \"bulkId:v\"]": 1}},
            {"op": "add", "path": "members", "value": ["bulkId:v"]},
        ]}},
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "g"}},
        post("u", json!({"manager": {"value": "bulkId:u"}, urn: {"Manager": {"$ref": "/Users/bulkId:v"}}})),
        post("v", json!({urn: {"manager": "bulkId:u"}})),
        {"method": "PATCH", "path": "/Users/bulkId:v", "data": {"Operations": [
            {"op": "add", "path": format!("{urn}:manager"), "value": {"value": "bulkId:u"}},
            {"op": "add", "path": "manager.value", "value": "bulkId:u"},
            {"op": "add", "path": urn, "value": {"manager": {"value": "bulkId:u"}}},
        ]}},
    ]));
    let acts = request.operations.iter().map(|o| o.act.clone().unwrap());
    let acts: Vec<_> = acts.collect();
    assert_eq!(acts[0].id, "id-1");
    let operations = &acts[0].data["operations"];
    assert_eq!(
        operations[0]["path"],
        "members[value eq \"id-2\" or VALUE eq \"id-3\"]"
    );
    let member = &operations[1]["value"]["members"][0];
    assert_eq!(*member, json!({"value": "id-2", "$ref": "../Users/id-2"}));
    assert_eq!(
        operations[2]["value"],
        json!({"members[value eq \"id-3\"]": 1})
    );
    assert_eq!(operations[3]["value"], json!(["id-3"]));
    assert_eq!(acts[2].data["manager"]["value"], "id-2");
    assert_eq!(acts[2].data[urn]["Manager"]["$ref"], "/Users/id-3");
    assert_eq!(acts[3].data[urn]["manager"], "id-2");
    let operations = &acts[4].data["Operations"];
    assert_eq!(operations[0]["value"]["value"], "id-2");
    assert_eq!(operations[1]["value"], "id-2");
    assert_eq!(operations[2]["value"]["manager"]["value"], "id-2");
    let needs: Vec<_> = request.operations.iter().map(|o| o.needs.clone()).collect();
    assert_eq!(
        needs,
        [vec![1, 2, 3], vec![], vec![2, 3], vec![2], vec![2, 3]]
    );
}

#[test]
fn what_is_no_reference_stays_as_it_was_written() {
    let data = json!({
        "displayName": "bulkId:u",
        "title": "bulkId:nobody",
        "emails": [{"value": "bulkId:u", "display": "/bulkId:u"}],
        "profileUrl": "https://example.com/bulkId:u",
        "groups": [{"value": "bulkId:nobody"}],
        "unknown": {"value": "bulkId:nobody", "$ref": "bulkId:nobody"},
        "schemas": ["bulkId:u"],
    });
    let patch = json!({"Operations": [
        {"op": "replace", "path": "displayName", "value": "bulkId:nobody"},
        {"op": "remove", "path": "emails[value eq \"bulkId:nobody\"]"},
        {"op": "replace", "value": {"members": [{"display": "bulkId:nobody"}]}},
    ]});
    let filter = json!({"Operations": [
        {"op": "remove", "path": "members[display eq \"bulkId:nobody\"]"},
    ]});
    let request = resolved(json!([
        post("u", data.clone()),
        {"method": "PATCH", "path": "/Users/1", "data": patch},
        {"method": "PATCH", "path": "/Groups/1", "data": filter},
    ]));
    for (operation, sent) in request.operations.iter().zip([data, patch, filter]) {
        assert_eq!(operation.act.as_ref().unwrap().data, sent);
        assert!(operation.needs.is_empty());
    }
}

#[test]
fn a_reference_to_nothing_is_a_conflict_of_its_operation_alone() {
    let request = resolved(json!([
        post("a", json!({"manager": "bulkId:nobody"})),
        {"method": "DELETE", "path": "/Users/bulkId:nobody"},
        // Not created here, so not to be referred to.
        {"method": "PUT", "path": "/Users/1", "bulkId": "p", "data": {}},
        post("b", json!({"manager": "bulkId:p"})),
    ]));
    for place in [0, 1, 3] {
        assert_eq!(status(&request, place), 409);
    }
    assert!(request.operations[2].act.is_ok());
}

#[test]
fn what_refers_moves_back_and_a_circle_comes_together() {
    let to = |name: &str| json!({"manager": format!("bulkId:{name}")});
    let request = resolved(json!([
        post("0", json!({})),
        post("1", to("4")),
        post("2", to("3")),
        post("3", json!({"manager": ["bulkId:2", "bulkId:0"]})),
        post("4", json!({})),
        post("5", to("5")),
    ]));
    let order = units(&request.operations);
    assert_eq!(order, [vec![0], vec![2, 3], vec![4], vec![1], vec![5]]);
}

#[test]
fn what_follows_on_the_same_resource_moves_back_with_what_refers() {
    let patch = |value: &str| {
        let operation = json!({"op": "add", "path": "members", "value": [{"value": value}]});
        json!({"method": "PATCH", "path": "/Groups/1", "data": {"Operations": [operation]}})
    };
    let request = resolved(json!([
        patch("bulkId:u"),
        {"method": "DELETE", "path": "/Users/2"},
        patch("3"),
        post("u", json!({})),
        {"method": "DELETE", "path": "/Groups/1"},
    ]));
    let order: Vec<usize> = units(&request.operations).concat();
    assert_eq!(order, [1, 3, 0, 2, 4]);
}

#[test]
fn a_chain_as_long_as_a_request_needs_no_deep_stack() {
    let count = 100_000;
    let operations: Vec<Operation> = (0..count)
        .map(|place| Operation {
            method: "POST".into(),
            bulk_id: None,
            version: None,
            act: Err(Problem::new(400, "")),
            needs: if place + 1 < count {
                vec![place + 1]
            } else {
                vec![]
            },
        })
        .collect();
    let units = units(&operations);
    assert_eq!(units.len(), count);
    assert_eq!((units[0][0], units[count - 1][0]), (count - 1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn every_operation_comes_once_and_after_its_needs(
        needs in proptest::collection::vec(proptest::collection::vec(0_usize..12, 0..4), 12)
    ) {
        let operations: Vec<Operation> = needs
            .iter()
            .map(|needs| Operation {
                method: "POST".into(),
                bulk_id: None,
                version: None,
                act: Err(Problem::new(400, "")),
                needs: needs.clone(),
            })
            .collect();
        let units = units(&operations);
        let mut places: Vec<usize> = units.iter().flatten().copied().collect();
        let unit_of = |place: usize| units.iter().position(|u| u.contains(&place)).unwrap();
        for (place, needs) in needs.iter().enumerate() {
            for need in needs {
                prop_assert!(unit_of(*need) <= unit_of(place));
            }
        }
        // Together only when each can be reached from the other.
        for unit in &units {
            for from in unit {
                for to in unit {
                    prop_assert!(from == to || reaches(&needs, *from, *to));
                }
            }
        }
        places.sort_unstable();
        prop_assert_eq!(places, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_requests_never_panic(body in "\\{\"Operations\":\\[\\{[a-z\":,/ {}\\[\\]]{0,80}\\}\\]\\}") {
        if let Ok(mut request) = parse(body.as_bytes(), &Limits::default()) {
            request.resolve(&Schemas::new(&[], &[]), || "id".into());
        }
    }
}

fn reaches(needs: &[Vec<usize>], from: usize, to: usize) -> bool {
    let (mut open, mut seen) = (vec![from], vec![false; needs.len()]);
    while let Some(place) = open.pop() {
        for need in &needs[place] {
            if *need == to {
                return true;
            }
            if !std::mem::replace(&mut seen[*need], true) {
                open.push(*need);
            }
        }
    }
    false
}
