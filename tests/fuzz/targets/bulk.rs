//! Bulk requests: what was understood is within the limits, each reference
//! leads to the operation that creates what it names, and the order of work
//! has every operation once and nothing before what it needs.

use serde_json::Value;

use super::{
    refused,
    scim::{
        bulk::{self, BulkRequest, Operation},
        error::Problem,
        json::{self, Limits},
        resource::ResourceType,
    },
    world::{EXTENSION, LIMITS, SCHEMAS},
};

/// So few that an input can exceed them.
const MOST: usize = 8;

pub fn run(input: &[u8]) {
    let [lenient, strict] = LIMITS.map(|limits| {
        let bulk_operations = MOST;
        let limits = Limits {
            bulk_operations,
            ..limits
        };
        bulk::parse(input, &limits)
    });
    if strict.is_ok() {
        assert_eq!(strict, lenient, "strict reads something else");
    }
    for read in [lenient, strict] {
        match read {
            Ok(request) => keeps_its_order(request),
            Err(problem) if problem.status == 413 => {
                assert!(problem.detail.contains("maxOperations"), "{problem}");
            }
            Err(problem) => refused(&problem),
        }
    }
}

fn keeps_its_order(mut request: BulkRequest) {
    assert!(request.operations.len() <= MOST);
    assert_ne!(request.fail_on_errors, Some(0));
    for operation in &request.operations {
        is_a_single_request(operation);
    }
    let mut minted = 0;
    request.resolve(&SCHEMAS, || {
        minted += 1;
        format!("{EXTENSION}/{minted}")
    });
    let operations = &request.operations;
    for operation in operations {
        is_resolved(operation, operations);
    }
    is_an_order(&bulk::units(operations), operations);
}

/// What a single request with this body would have read.
fn is_a_single_request(operation: &Operation) {
    let Ok(act) = &operation.act else { return };
    let body = serde_json::to_vec(&act.data).unwrap();
    let read = json::parse(&body, &LIMITS[0]);
    assert_eq!(read.as_ref(), Ok(&act.data), "{operation:?}");
}

fn is_resolved(operation: &Operation, among: &[Operation]) {
    match &operation.act {
        Ok(act) => {
            let name = match act.of {
                ResourceType::User => "manager",
                ResourceType::Group => "members",
            };
            assert!(!refers(&act.data, name), "{operation:?}");
            assert!(!act.id.starts_with("bulkId:"), "{operation:?}");
        }
        Err(problem) => is_of_one_operation(problem),
    }
    assert!(operation.needs.is_sorted());
    for need in &operation.needs {
        let creates = &among[*need];
        assert!(creates.method.eq_ignore_ascii_case("POST"), "{creates:?}");
        assert!(creates.bulk_id.is_some(), "{creates:?}");
    }
}

/// Whether the attribute of this name still has a reference; in any other text
/// the mark is text.
fn refers(data: &Value, name: &str) -> bool {
    let named = |map: &Value, name: &str| -> Vec<Value> {
        let map = map.as_object().into_iter().flatten();
        let found = map.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let found = found.map(|(_, value)| value.clone());
        found.collect()
    };
    let marked = |value: &Value| value.as_str().is_some_and(|id| id.starts_with("bulkId:"));
    let one = |value: &Value| marked(value) || named(value, "value").iter().any(marked);
    named(data, name).iter().any(|value| match value {
        Value::Array(list) => list.iter().any(one),
        value => one(value),
    })
}

fn is_of_one_operation(problem: &Problem) {
    match problem.status {
        404 | 405 | 409 => assert!(problem.detail.len() > 10, "{problem}"),
        _ => refused(problem),
    }
}

/// Every operation is there once, nothing comes before what it needs, and
/// what comes together is a circle.
fn is_an_order(units: &[Vec<usize>], operations: &[Operation]) {
    let mut unit_of = vec![None; operations.len()];
    for (number, unit) in units.iter().enumerate() {
        assert!(!unit.is_empty());
        for place in unit {
            assert_eq!(unit_of[*place].replace(number), None, "{units:?}");
        }
    }
    for (place, operation) in operations.iter().enumerate() {
        assert!(unit_of[place].is_some(), "{place} of {units:?}");
        for need in &operation.needs {
            assert!(unit_of[*need] <= unit_of[place], "{place} of {units:?}");
        }
    }
    for unit in units {
        for from in unit {
            let reached = reached(*from, operations);
            let all = unit.iter().all(|place| place == from || reached[*place]);
            assert!(all, "{units:?} of {operations:?}");
        }
    }
    if operations
        .iter()
        .all(|operation| operation.needs.is_empty())
    {
        assert!(units.concat().is_sorted(), "{units:?}");
    }
}

fn reached(from: usize, operations: &[Operation]) -> Vec<bool> {
    let mut reached = vec![false; operations.len()];
    let mut open = operations[from].needs.clone();
    while let Some(place) = open.pop() {
        if !std::mem::replace(&mut reached[place], true) {
            open.extend(&operations[place].needs);
        }
    }
    reached
}
