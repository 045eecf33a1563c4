#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::scim::schema::ENTERPRISE;

fn list(query: &str) -> Result<ListQuery, Problem> {
    let schemas = Schemas::new(&[], &[]);
    ListQuery::parse(query, ResourceType::User, &schemas, &Limits::default())
}

fn page(query: &str) -> (u64, u64) {
    let query = list(query).unwrap();
    match query.page {
        Page::Index(start) => (start, query.count),
        cursor @ Page::Cursor { .. } => panic!("{cursor:?}"),
    }
}

fn projected(query: &str) -> Value {
    let schemas = Schemas::new(&[], &[]);
    let mut resource = json!({
        "schemas": ["u"], "id": "1", "userName": "a", "name": {"givenName": "G", "familyName": "F"},
        "emails": [{"value": "x", "type": "work"}, {"type": "home"}],
        ENTERPRISE: {"department": "D", "manager": {"value": "m", "$ref": "r"}},
        "meta": {"version": "v", "location": "l"},
    });
    let projection =
        Projection::parse(query, ResourceType::User, &schemas, &Limits::default()).unwrap();
    projection.apply(resource.as_object_mut().unwrap());
    resource
}

#[test]
fn pages_are_clamped_and_default() {
    assert_eq!(page(""), (1, 100));
    assert_eq!(page("startIndex=0&count=-5"), (1, 0));
    assert_eq!(page("startIndex=-7&count=5000"), (1, 1_000));
    assert_eq!(
        page("startIndex=99999999999999999999999&count=0"),
        (i64::MAX.cast_unsigned(), 0)
    );
    for bad in ["count=ten", "startIndex=1.5", "count=", "count=0x1"] {
        assert_eq!(
            list(bad).unwrap_err().scim_type,
            Some(ScimType::InvalidValue)
        );
    }
}

#[test]
fn whole_numbers_in_a_body_may_be_written_with_a_point() {
    let schemas = Schemas::new(&[], &[]);
    let ask = |start: &str, count: &str| {
        let body = format!("{{\"startIndex\": {start}, \"count\": {count}}}");
        let request = SearchRequest::parse(body.as_bytes(), &Limits::default())?;
        let query = request.among(ResourceType::User, &schemas, &Limits::default())?;
        Ok::<_, Problem>((query.page, query.count))
    };
    for (start, count, expected) in [
        ("2.0", "3e0", (2, 3)),
        ("-0.0", "-2.0", (1, 0)),
        ("1e300", "1e300", (i64::MAX.cast_unsigned(), MAX_COUNT)),
        ("-1e300", "99999999999999999999999", (1, MAX_COUNT)),
    ] {
        let (page, count) = ask(start, count).unwrap();
        assert_eq!((page, count), (Page::Index(expected.0), expected.1));
    }
    for (start, count) in [("2.5", "1"), ("1", "1e-3"), ("\"1\"", "1"), ("1", "true")] {
        let refused = ask(start, count).unwrap_err();
        assert_eq!(refused.scim_type, Some(ScimType::InvalidValue));
    }
}

#[test]
fn stray_and_unknown_parameters_are_ignored() {
    let query = "&&aadOptscim062020&x=1&=&count=3&";
    assert_eq!(page(query), (1, 3));
    assert!(list(query).unwrap().projection.is_default());
}

#[test]
fn the_query_is_decoded_once_as_a_form() {
    let filter = list("filter=userName+eq%20%22a%2Bb%2525%22")
        .unwrap()
        .filter
        .unwrap();
    let narrow = filter.narrow();
    assert_eq!(
        narrow,
        Some(crate::scim::filter::Narrow::UserName("a+b%25".into()))
    );
    assert!(list("filter=title+co+%22100%%22").is_ok());
    assert_eq!(
        list("filter=").unwrap_err().scim_type,
        Some(ScimType::InvalidFilter)
    );
    assert!(list("filter=title+pr&filter=title+pr").is_err());
    assert!(list("filter=%ff").is_err());
}

#[test]
fn attributes_keep_what_is_named_and_what_is_always_returned() {
    let always = |rest: Value| {
        let mut all = json!({"schemas": ["u"], "id": "1"});
        all.as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        all
    };
    assert_eq!(projected("attributes=id"), always(json!({})));
    assert_eq!(projected("attributes=noSuch"), always(json!({})));
    for nothing in [
        "attributes=",
        "attributes",
        "attributes=,+,&excludedAttributes=",
    ] {
        assert_eq!(projected(nothing), projected(""), "{nothing}");
    }
    assert_eq!(
        projected("attributes=userName,title&excludedAttributes=userName,id"),
        always(json!({}))
    );
    let only = json!({ENTERPRISE: {"manager": {"value": "m"}}});
    assert_eq!(
        projected(&format!(
            "excludedAttributes={ENTERPRISE}:manager.$ref&attributes={ENTERPRISE}:MANAGER"
        )),
        always(only)
    );
    assert_eq!(
        projected("attributes=USERNAME,name.givenname"),
        always(json!({"userName": "a", "name": {"givenName": "G"}}))
    );
    assert_eq!(
        projected("attributes=emails.value"),
        always(json!({"emails": [{"value": "x"}]}))
    );
    assert_eq!(
        projected(&format!("attributes={ENTERPRISE}:manager.value")),
        always(json!({ENTERPRISE: {"manager": {"value": "m"}}}))
    );
    assert_eq!(
        projected("attributes=department"),
        always(json!({ENTERPRISE: {"department": "D"}}))
    );
    let whole = json!({ENTERPRISE: {"department": "D", "manager": {"value": "m", "$ref": "r"}}});
    assert_eq!(
        projected(&format!("attributes={ENTERPRISE}")),
        always(whole)
    );
    assert_eq!(
        projected("attributes=meta.version&attributes=userName"),
        always(json!({"userName": "a", "meta": {"version": "v"}}))
    );
}

#[test]
fn excluded_attributes_drop_what_is_named_but_not_what_is_always_returned() {
    let left = projected(&format!(
        "excludedAttributes=id,schemas,emails,name.givenName,{ENTERPRISE},meta"
    ));
    assert_eq!(
        left,
        json!({"schemas": ["u"], "id": "1", "userName": "a", "name": {"familyName": "F"}})
    );
    let left = projected("excludedAttributes=manager,name,emails.type,meta.location");
    assert_eq!(
        left,
        json!({"schemas": ["u"], "id": "1", "userName": "a", "emails": [{"value": "x"}],
        ENTERPRISE: {"department": "D"}, "meta": {"version": "v"}})
    );
    assert_eq!(
        projected("attributes=name&excludedAttributes=name.givenName")["name"],
        json!({"familyName": "F"})
    );
}

#[test]
fn members_are_only_read_when_wanted() {
    let schemas = Schemas::new(&[], &[]);
    let ask = |query: &str| {
        let projection =
            Projection::parse(query, ResourceType::Group, &schemas, &Limits::default()).unwrap();
        (projection.is_default(), projection.wants_members())
    };
    assert_eq!(ask(""), (true, true));
    assert_eq!(ask("excludedAttributes=members"), (true, false));
    assert_eq!(
        ask("excludedAttributes=urn:ietf:params:scim:schemas:core:2.0:Group:MEMBERS,noSuch"),
        (true, false)
    );
    assert_eq!(ask("excludedAttributes=members.display"), (false, true));
    assert_eq!(ask("attributes=id"), (false, false));
    assert_eq!(ask("attributes=members.value"), (false, true));
    let projection = Projection::parse(
        "attributes=members.value",
        ResourceType::Group,
        &schemas,
        &Limits::default(),
    )
    .unwrap();
    assert!(projection.wants_of_member("value") && !projection.wants_of_member("$ref"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_queries_never_panic(query in "(filter|count|attributes|startIndex|&|=|%|\\+|%20|[a-zA-Z.:\"]|é){0,20}") {
        let _ = list(&query);
    }
}
