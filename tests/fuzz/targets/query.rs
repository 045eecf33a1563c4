//! List queries, as a query string and as a body: numbers within their bounds,
//! an order whose keys hold, and a projection that shows a part of the
//! resource, never without its `id`.

use serde_json::{Map, Value};

use super::{
    refused,
    scim::{
        error::Problem,
        query::{ListQuery, MAX_COUNT, Page, SORT_KEY, SearchRequest, Sort, SortKey},
        resource::ResourceType,
    },
    world::{self, LIMITS, SCHEMAS, Whole},
};

pub fn run(input: &[u8]) {
    for of in [ResourceType::User, ResourceType::Group] {
        if let Ok(text) = std::str::from_utf8(input) {
            let read = LIMITS.map(|limits| ListQuery::parse(text, of, &SCHEMAS, &limits));
            judge_both(read, of);
        }
        if input.first() == Some(&b'{') {
            let read = LIMITS.map(|limits| {
                let search = SearchRequest::parse(input, &limits);
                search.and_then(|search| search.among(of, &SCHEMAS, &limits))
            });
            judge_both(read, of);
        }
    }
}

/// Mostly both modes read the same.
fn judge_both([lenient, strict]: [Result<ListQuery, Problem>; 2], of: ResourceType) {
    if strict != lenient {
        judge(strict, of);
    }
    judge(lenient, of);
}

fn judge(query: Result<ListQuery, Problem>, of: ResourceType) {
    let query = match query {
        Ok(query) => query,
        Err(problem) => return refused(&problem),
    };
    assert!(query.count <= MAX_COUNT);
    if let Page::Index(start) = &query.page {
        assert!(*start >= 1);
    }
    for whole in world::wholes(of) {
        is_projected(&query, &whole.0);
    }
    if let Some(sort) = &query.sort {
        is_an_order(sort, world::wholes(of));
    }
}

fn is_projected(query: &ListQuery, whole: &Map<String, Value>) {
    let mut shown = whole.clone();
    query.projection.apply(&mut shown);
    assert!(shown.contains_key("id"), "{query:?}");
    assert!(is_part(&shown, whole), "{query:?}");
    let mut again = shown.clone();
    query.projection.apply(&mut again);
    assert_eq!(again, shown, "{query:?}");
    if query.projection.is_default() {
        assert_eq!(&shown, whole, "{query:?}");
    }
}

/// Keys depend on nothing but what is said to be looked at, stay themselves
/// as bytes in a cursor, and turn round with the order.
fn is_an_order(sort: &Sort, resources: &[Whole]) {
    let keys: Vec<SortKey> = resources.iter().map(|whole| sort.key(&whole.0)).collect();
    for (Whole(whole), key) in resources.iter().zip(&keys) {
        let looked_at = whole.get_key_value(sort.looks_at());
        let part = looked_at.map(|(name, value)| (name.clone(), value.clone()));
        assert_eq!(&sort.key(&part.into_iter().collect()), key, "{sort:?}");
        assert!(key.as_bytes().len() <= SORT_KEY + 1, "{sort:?}");
        assert_eq!(&SortKey::from_bytes(key.as_bytes()), key);
        for other in &keys {
            let order = key.compare(other, false);
            assert_eq!(other.compare(key, false), order.reverse(), "{sort:?}");
            assert_eq!(key.compare(other, true), order.reverse(), "{sort:?}");
        }
    }
}

fn is_part(part: &Map<String, Value>, whole: &Map<String, Value>) -> bool {
    let within = |part: &Value, whole: &Value| match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => is_part(part, whole),
        (Value::Array(part), Value::Array(whole)) => part.len() <= whole.len(),
        (part, whole) => part == whole,
    };
    part.iter()
        .all(|(name, value)| whole.get(name).is_some_and(|whole| within(value, whole)))
}
