//! List queries, as a query string and as a body: numbers within their bounds,
//! and a projection that shows a part of the resource, never without its `id`.

use serde_json::{Map, Value};

use super::{
    refused,
    scim::{
        error::Problem,
        query::{ListQuery, MAX_COUNT, Page, SearchRequest},
        resource::ResourceType,
    },
    world::{self, LIMITS, SCHEMAS, Whole},
};

pub fn run(input: &[u8]) {
    for of in [ResourceType::User, ResourceType::Group] {
        for limits in &*LIMITS {
            if let Ok(text) = std::str::from_utf8(input) {
                judge(ListQuery::parse(text, of, &SCHEMAS, limits), of);
            }
            if input.first() == Some(&b'{') {
                let search = SearchRequest::parse(input, limits);
                judge(
                    search.and_then(|search| search.among(of, &SCHEMAS, limits)),
                    of,
                );
            }
        }
    }
}

fn judge(query: Result<ListQuery, Problem>, of: ResourceType) {
    let query = match query {
        Ok(query) => query,
        Err(problem) => return refused(&problem),
    };
    if let Page::Index(start) = query.page {
        assert!(start >= 1);
    }
    let sort = query.sort.as_ref();
    assert!(query.count <= MAX_COUNT);
    for attributes in world::resources(of) {
        let whole = Whole::of(attributes).0;
        if let Some(sort) = sort {
            assert_eq!(sort.key(&whole), sort.key(&whole.clone()), "{query:?}");
        }
        let mut shown = whole.clone();
        query.projection.apply(&mut shown);
        assert!(shown.contains_key("id"), "{query:?}");
        assert!(is_part(&shown, &whole), "{query:?}");
        let mut again = shown.clone();
        query.projection.apply(&mut again);
        assert_eq!(again, shown, "{query:?}");
        if query.projection.is_default() {
            assert_eq!(shown, whole, "{query:?}");
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
