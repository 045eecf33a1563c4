#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn by(kind: Type, case_exact: bool, sub: Option<&str>) -> Sort {
    Sort {
        extension: None,
        attribute: "a".into(),
        sub: sub.map(Into::into),
        kind,
        case_exact,
    }
}

fn key(sort: &Sort, value: &Value) -> SortKey {
    sort.key(json!({ "a": value }).as_object().unwrap())
}

/// Each value stands before all that follow it, and the other way round when
/// descending.
fn ascend(sort: &Sort, values: &[Value]) {
    let keys: Vec<SortKey> = values.iter().map(|value| key(sort, value)).collect();
    for (at, low) in keys.iter().enumerate() {
        for (high, value) in keys.iter().zip(values).skip(at + 1) {
            assert!(low.compare(high, false).is_lt(), "{} {value}", values[at]);
            assert!(low.compare(high, true).is_gt(), "{} {value}", values[at]);
        }
    }
}

#[test]
fn numbers_stand_by_size_whatever_their_spelling() {
    let sort = by(Type::Decimal, false, None);
    ascend(
        &sort,
        &[
            json!(-1e300),
            json!(-9_007_199_254_740_993_i64),
            json!(-9_007_199_254_740_992_i64),
            json!(-10),
            json!(-9.5),
            json!(-1),
            json!(-1e-300),
            json!(0),
            json!(0.5),
            json!(1),
            json!(9.75),
            json!(10),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
            json!(u64::MAX),
            json!(1e300),
            json!("no number"),
        ],
    );
    for (one, other) in [(json!(0), json!(-0.0)), (json!(1), json!(1.0))] {
        assert_eq!(key(&sort, &one), key(&sort, &other));
    }
}

#[test]
fn dates_stand_by_instant_and_booleans_false_first() {
    let sort = by(Type::DateTime, false, None);
    ascend(
        &sort,
        &[
            json!("1969-12-31T23:59:59Z"),
            json!("1970-01-01T00:00:00Z"),
            json!("2026-01-01T00:30:00+01:00"),
            json!("2026-01-01T00:00:00Z"),
            json!("2026-01-01T00:00:00.0001Z"),
            json!("2025-12-31T23:00:01-01:00"),
            json!("yesterday"),
        ],
    );
    let (one, other) = ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z");
    assert_eq!(key(&sort, &json!(one)), key(&sort, &json!(other)));
    let flags = [json!(false), json!(true), json!("true")];
    ascend(&by(Type::Boolean, false, None), &flags);
}

#[test]
fn who_has_no_value_comes_last_and_descending_first() {
    for kind in [Type::String, Type::Integer, Type::DateTime, Type::Boolean] {
        let sort = by(kind, false, None);
        for none in [json!(null), json!([]), json!([null]), json!({})] {
            assert_eq!(key(&sort, &none), SortKey::default(), "{none}");
        }
        assert_eq!(sort.key(&Map::new()), SortKey::default());
    }
    ascend(
        &by(Type::String, false, None),
        &[json!("\u{10ffff}"), json!(null)],
    );
}

#[test]
fn text_is_folded_unless_letter_case_counts_and_bounded() {
    let (folded, exact) = (by(Type::String, false, None), by(Type::String, true, None));
    ascend(
        &folded,
        &[json!("a"), json!("AA"), json!("b"), json!("ä"), json!("Ö")],
    );
    assert_eq!(key(&folded, &json!("ÄΣ")), key(&folded, &json!("äς")));
    ascend(&exact, &[json!("B"), json!("a"), json!("aB"), json!("aa")]);
    let long = "é".repeat(SORT_KEY);
    let key = key(&folded, &json!(long));
    assert_eq!(key.as_bytes().len(), SORT_KEY + 1);
}

#[test]
fn of_many_values_the_primary_one_counts_else_the_first() {
    let sort = by(Type::String, false, Some("value"));
    for (values, counts) in [
        (
            json!([{"value": "b"}, {"value": "a", "primary": true}]),
            "a",
        ),
        (
            json!([{"value": "b", "primary": false}, {"value": "a"}]),
            "b",
        ),
        (json!([{"value": "b"}]), "b"),
        (json!({"value": "b"}), "b"),
    ] {
        assert_eq!(key(&sort, &values), text(counts), "{values}");
    }
    let without = json!([{"value": "b"}, {"type": "work", "primary": true}]);
    assert_eq!(key(&sort, &without), SortKey::default());
}

proptest! {
    #[test]
    fn keys_of_numbers_compare_as_the_numbers_do(a in any::<i64>(), b in any::<i64>(), x in -1e30f64..1e30, y in -1e30f64..1e30) {
        let sort = by(Type::Decimal, false, None);
        prop_assert_eq!(key(&sort, &json!(a)).cmp(&key(&sort, &json!(b))), a.cmp(&b));
        prop_assert_eq!(key(&sort, &json!(x)).cmp(&key(&sort, &json!(y))), x.total_cmp(&y));
    }
}
