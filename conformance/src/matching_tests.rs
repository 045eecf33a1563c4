#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::needless_pass_by_value)]
use serde_json::json;

use super::*;

fn holds(pattern: Value, actual: Value) -> bool {
    differences("body", &pattern, Some(&actual)).is_empty()
}

#[test]
fn objects_match_as_subsets() {
    assert!(holds(json!({"a": 1}), json!({"a": 1, "b": 2})));
    assert!(!holds(json!({"a": 1, "c": 3}), json!({"a": 1, "b": 2})));
    assert!(!holds(json!({"a": 1}), json!([1])));
}

#[test]
fn types_are_never_bent() {
    assert!(!holds(json!(true), json!("True")));
    assert!(!holds(json!(1), json!("1")));
    assert!(!holds(json!("1"), json!(1)));
    assert!(!holds(json!(false), json!(null)));
}

#[test]
fn every_expected_element_needs_some_match() {
    assert!(holds(
        json!([{"v": 2}]),
        json!([{"v": 1}, {"v": 2, "w": 3}])
    ));
    assert!(!holds(json!([{"v": 2}, {"v": 3}]), json!([{"v": 2}])));
    assert!(holds(json!([]), json!([1])));
    assert!(!holds(json!([1]), json!(1)));
}

#[test]
fn any_wants_presence() {
    assert!(holds(json!({"a": "$any"}), json!({"a": ""})));
    assert!(!holds(json!({"a": "$any"}), json!({"a": null})));
    assert!(!holds(json!({"a": "$any"}), json!({})));
}

#[test]
fn nonempty_refuses_the_four_kinds_of_nothing() {
    for full in [
        json!("x"),
        json!(false),
        json!(0),
        json!([0]),
        json!({"a": 1}),
    ] {
        assert!(holds(json!({"a": "$nonempty"}), json!({ "a": full })));
    }
    for nothing in [json!(""), json!([]), json!({}), json!(null)] {
        assert!(!holds(json!({"a": "$nonempty"}), json!({ "a": nothing })));
    }
}

#[test]
fn absent_is_missing_null_or_empty() {
    assert!(holds(json!({"a": "$absent"}), json!({})));
    for nothing in [json!(""), json!([]), json!({}), json!(null)] {
        assert!(holds(json!({"a": "$absent"}), json!({ "a": nothing })));
    }
    assert!(!holds(json!({"a": "$absent"}), json!({"a": "x"})));
    assert!(!holds(json!({"a": "$absent"}), json!({"a": false})));
}

#[test]
fn type_words_are_strict() {
    assert!(holds(json!("$string"), json!("")) && !holds(json!("$string"), json!(1)));
    assert!(holds(json!("$number"), json!(1.5)) && !holds(json!("$number"), json!("1")));
    assert!(holds(json!("$integer"), json!(7)));
    assert!(!holds(json!("$integer"), json!(7.5)) && !holds(json!("$integer"), json!("7")));
    assert!(holds(json!("$bool"), json!(false)) && !holds(json!("$bool"), json!("false")));
}

#[test]
fn prefix_compares_the_start_of_a_string() {
    assert!(holds(
        json!("$prefix:application/scim"),
        json!("application/scim+json; charset=utf-8")
    ));
    assert!(!holds(
        json!("$prefix:application/scim"),
        json!("text/html")
    ));
    assert!(!holds(json!("$prefix:1"), json!(1)));
}

#[test]
fn a_set_is_exact_and_unordered() {
    let wanted = json!({"members": {"$set": [{"value": "a"}, {"value": "b"}]}});
    assert!(holds(
        wanted.clone(),
        json!({"members": [{"value": "b"}, {"value": "a", "type": "User"}]})
    ));
    assert!(!holds(wanted.clone(), json!({"members": [{"value": "a"}]})));
    assert!(!holds(
        wanted.clone(),
        json!({"members": [{"value": "a"}, {"value": "b"}, {"value": "c"}]})
    ));
    assert!(!holds(
        wanted.clone(),
        json!({"members": [{"value": "a"}, {"value": "a"}]})
    ));
    assert!(!holds(wanted, json!({})));
}

#[test]
fn an_empty_set_is_met_by_a_missing_attribute() {
    assert!(holds(json!({"members": {"$set": []}}), json!({})));
    assert!(holds(json!({"members": {"$len": 0}}), json!({})));
    assert!(!holds(
        json!({"members": {"$set": []}}),
        json!({"members": [{"value": "a"}]})
    ));
}

#[test]
fn a_set_pairs_even_when_the_first_fit_is_wrong() {
    let wanted = json!({"$set": [{"t": 1}, {"t": 1, "u": 2}, {"w": 4}]});
    assert!(holds(
        wanted.clone(),
        json!([{"t": 1, "u": 2, "w": 4}, {"t": 1, "u": 2}, {"t": 1}])
    ));
    assert!(!holds(
        wanted,
        json!([{"t": 1, "u": 2}, {"t": 1}, {"t": 1}])
    ));
}

#[test]
fn first_looks_at_the_first_element_alone() {
    assert!(holds(
        json!({"$first": {"a": "$bool"}}),
        json!([{"a": true}, {}])
    ));
    assert!(!holds(
        json!({"$first": {"a": "$bool"}}),
        json!([{}, {"a": true}])
    ));
    assert!(!holds(json!({"$first": {"a": "$bool"}}), json!([])));
}

#[test]
fn len_counts() {
    assert!(holds(json!({"$len": 2}), json!([1, 2])));
    assert!(!holds(json!({"$len": 2}), json!([1])));
    assert!(!holds(json!({"$len": 2}), json!("ab")));
}

#[test]
fn not_turns_a_pattern_round() {
    assert!(holds(json!({"a": {"$not": "x"}}), json!({"a": "y"})));
    assert!(!holds(json!({"a": {"$not": "x"}}), json!({"a": "x"})));
    assert!(holds(
        json!({"Resources": {"$not": [{"id": "7"}]}}),
        json!({"Resources": [{"id": "8"}]})
    ));
    assert!(!holds(
        json!({"Resources": {"$not": [{"id": "7"}]}}),
        json!({"Resources": [{"id": "7"}]})
    ));
}

#[test]
fn a_reference_key_is_no_matcher() {
    assert!(holds(
        json!({"$ref": "$nonempty"}),
        json!({"$ref": "http://x"})
    ));
    assert!(!holds(json!({"$ref": "$nonempty"}), json!({})));
}

#[test]
fn a_difference_names_place_expectation_and_finding() {
    let found = differences(
        "body",
        &json!({"name": {"givenName": "Al"}}),
        Some(&json!({"name": {"givenName": "Bo"}})),
    );
    assert_eq!(
        found[0].to_string(),
        r#"body.name.givenName: expected "Al", found "Bo""#
    );
}

#[test]
fn a_bottomless_answer_is_no_danger() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(check_pattern(&deep).unwrap_err().contains("nested"));
}

/// Answers as broken servers gave them, each against the expectation that must catch it.
#[test]
fn recorded_wrong_answers_fail() {
    let list = json!({"totalResults": "$integer", "Resources": [{"id": "u1"}]});
    assert!(!holds(
        list.clone(),
        json!({"totalResults": "1", "Resources": [{"id": "u1"}]})
    ));
    assert!(!holds(list.clone(), json!({"totalResults": 0})));
    assert!(!holds(
        list,
        json!({"totalResults": 1, "resources": [{"id": "u1"}]})
    ));
    let error = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": "401", "detail": "$nonempty"});
    assert!(!holds(
        error.clone(),
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": 401, "detail": "no"})
    ));
    assert!(!holds(error, json!({"message": "Unauthorized"})));
    let kept = json!({"members": {"$set": [{"value": "bob"}, {"value": "carol"}]}});
    assert!(
        !holds(kept.clone(), json!({"members": []})),
        "a removal that wiped the group"
    );
    assert!(
        !holds(
            kept,
            json!({"members": [{"value": "alice"}, {"value": "bob"}, {"value": "carol"}]})
        ),
        "a removal that was ignored"
    );
    assert!(!holds(json!({"active": false}), json!({"active": "False"})));
    assert!(!holds(
        json!({"password": "$absent"}),
        json!({"password": "x9"})
    ));
}
