#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::scim::{
    render,
    resource::{ResourceId, group_from_json, user_from_json},
};

const VECTORS: &str = include_str!("../../../tests/data/vectors/filter-vectors.json");

struct Stored {
    attributes: Map<String, Value>,
    members: Vec<String>,
}

impl Subject for Stored {
    fn attributes(&self) -> &Map<String, Value> {
        &self.attributes
    }
    fn has_member(&self, id: &str) -> bool {
        self.members.iter().any(|member| member == id)
    }
    fn members(&self) -> Vec<String> {
        self.members.clone()
    }
}

fn schemas() -> &'static Schemas {
    static SCHEMAS: LazyLock<Schemas> = LazyLock::new(|| Schemas::new(&[], &[]));
    &SCHEMAS
}

fn parse(text: &str) -> Result<Filter, Problem> {
    Filter::parse(text, ResourceType::User, schemas(), &Limits::default())
}

fn refused(text: &str) -> String {
    let problem = parse(text).unwrap_err();
    assert_eq!(
        (problem.status, problem.scim_type),
        (400, Some(ScimType::InvalidFilter))
    );
    problem.detail
}

fn stored(of: ResourceType, id: ResourceId, attributes: &Value) -> Map<String, Value> {
    render::document(
        of,
        id,
        1_767_225_600_000,
        1_767_225_600_000,
        1,
        &attributes.to_string(),
        None,
    )
}

/// The corpus of the vectors, as it is stored: by key.
fn corpus(
    of: ResourceType,
    vectors: &Value,
    ids: &BTreeMap<String, String>,
) -> BTreeMap<String, Stored> {
    let (list, prefix) = match of {
        ResourceType::User => ("users", ""),
        ResourceType::Group => ("groups", "g:"),
    };
    let resources = vectors["corpus"][list].as_object().unwrap();
    let read = |(key, resource): (&String, &Value)| {
        let mut resource = resource.clone();
        if let Some(members) = resource.get_mut("members") {
            let keys = members.as_array().unwrap().iter();
            *members = keys
                .map(|key| json!({"value": ids[key.as_str().unwrap()]}))
                .collect();
        }
        let body = resource.to_string();
        let id = ResourceId::parse(&ids[&format!("{prefix}{key}")]).unwrap();
        let (attributes, members) = match of {
            ResourceType::User => {
                let read = user_from_json(body.as_bytes(), schemas(), &Limits::default());
                (read.unwrap().taken, Vec::new())
            }
            ResourceType::Group => {
                let read = group_from_json(body.as_bytes(), schemas(), &Limits::default());
                let read = read.unwrap().taken;
                (read.attributes, read.members.unwrap_or_default())
            }
        };
        let attributes = stored(of, id, &Value::Object(attributes.0));
        (
            key.clone(),
            Stored {
                attributes,
                members,
            },
        )
    };
    resources.iter().map(read).collect()
}

#[test]
fn every_filter_vector_selects_what_it_should() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let mut ids = BTreeMap::new();
    for (list, prefix) in [("users", ""), ("groups", "g:")] {
        for key in vectors["corpus"][list].as_object().unwrap().keys() {
            let number = u128::try_from(ids.len()).unwrap() + 1;
            ids.insert(
                format!("{prefix}{key}"),
                Uuid::from_u128(number).to_string(),
            );
        }
    }
    let users = corpus(ResourceType::User, &vectors, &ids);
    let groups = corpus(ResourceType::Group, &vectors, &ids);
    let mut failures = Vec::new();
    for vector in vectors["vectors"].as_array().unwrap() {
        let mut text = vector["filter"].as_str().unwrap().to_owned();
        for (key, id) in &ids {
            text = text.replace(&format!("{{{{id:{key}}}}}"), id);
        }
        let (of, resources) = match vector["resource"].as_str() {
            Some("Group") => (ResourceType::Group, &groups),
            _ => (ResourceType::User, &users),
        };
        let also = vector["also"].as_array().cloned().unwrap_or_default();
        let got = match Filter::parse(&text, of, schemas(), &Limits::default()) {
            Err(problem) => {
                assert!(problem.detail.contains("character"), "{problem}");
                let fine = vector["invalid"] == true || also.contains(&json!("400"));
                if !fine || problem.scim_type != Some(ScimType::InvalidFilter) {
                    failures.push(format!("{} {text}: {problem}", vector["id"]));
                }
                continue;
            }
            Ok(filter) => {
                let found = resources
                    .iter()
                    .filter(|(_, resource)| filter.matches(*resource));
                found.map(|(key, _)| key.clone()).collect::<Value>()
            }
        };
        if vector["invalid"] == true || (got != vector["match"] && !also.contains(&got)) {
            failures.push(format!("{} {text}: {got}", vector["id"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_fault_says_at_which_character() {
    assert!(refused("userName eq \"é\" and title xx \"y\"").contains("character 27:"));
    assert!(refused("title eq work").contains("character 10:"));
    assert!(refused("active gt true").contains("character 8:"));
    assert!(refused("").contains("character 1:"));
    assert!(refused("title eq \"open").contains("no closing quote"));
    assert!(refused("title eq 5").contains("title is compared with a string"));
    assert!(refused("name eq \"x\"").contains("complex"));
    assert!(refused("meta.created gt \"yesterday\"").contains("date and time"));
    assert!(refused("emails[type eq \"a\" and emails[type eq \"b\"]]").contains("inside brackets"));
    assert!(refused("title eq \"x\"and title pr").contains("after the value"));
}

#[test]
fn nesting_and_length_are_bounded_before_the_stack_is() {
    let wide = Limits {
        filter: usize::MAX,
        ..Limits::default()
    };
    for open in ["(", "not (", "not(", "emails[", "((not ("] {
        let text = open.repeat(100_000);
        assert!(refused(&text).contains("longer than 4096"));
        let problem = Filter::parse(&text, ResourceType::User, schemas(), &wide).unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::InvalidFilter), "{open}");
    }
    let nested = |n: usize| format!("{}title pr{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(32)).is_ok());
    assert!(refused(&nested(33)).contains("nested deeper than 32"));
    let long = vec!["title pr"; 300].join(" and ");
    assert!(parse(&long).is_ok());
}

#[test]
fn the_index_that_can_answer_is_found() {
    let narrow = |text: &str| parse(text).unwrap().narrow();
    let email = || Some(Narrow::Email("A@b".into()));
    assert_eq!(
        narrow("userName eq \"A\""),
        Some(Narrow::UserName("A".into()))
    );
    assert_eq!(
        narrow("title pr and externalId eq \"e\""),
        Some(Narrow::ExternalId("e".into()))
    );
    assert_eq!(
        narrow("manager eq \"m\" and (id eq \"i\" and userName eq \"u\")"),
        Some(Narrow::Id("i".into()))
    );
    for text in [
        "emails eq \"A@b\"",
        "emails.value eq \"A@b\"",
        "emails[value eq \"A@b\"]",
        "emails[type eq \"work\" and value eq \"A@b\"]",
        "emails[type eq \"work\"].value eq \"A@b\"",
        "emails[type eq \"a\" and primary eq true].value eq \"A@b\"",
    ] {
        assert_eq!(narrow(text), email(), "{text}");
    }
    for text in [
        "userName ne \"a\"",
        "userName eq \"a\" or id eq \"b\"",
        "not (id eq \"b\")",
        "displayName eq \"x\"",
        "emails[not (value eq \"a\")]",
        "emails.type eq \"work\"",
    ] {
        assert_eq!(narrow(text), None, "{text}");
    }
    let group = |text: &str| {
        Filter::parse(text, ResourceType::Group, schemas(), &Limits::default())
            .unwrap()
            .narrow()
    };
    assert_eq!(
        group("displayName eq \"G\""),
        Some(Narrow::DisplayName("G".into()))
    );
    for text in [
        "members eq \"m\"",
        "members.value eq \"m\"",
        "members[value eq \"m\"]",
        "title pr and members eq \"m\"",
    ] {
        assert_eq!(group(text), Some(Narrow::Member("m".into())), "{text}");
    }
    assert_eq!(
        group("members eq \"m\" and id eq \"i\""),
        Some(Narrow::Id("i".into()))
    );
}

#[test]
fn members_are_asked_by_index_where_that_is_enough() {
    struct Indexed;
    impl Subject for Indexed {
        fn attributes(&self) -> &Map<String, Value> {
            panic!("not needed")
        }
        fn has_member(&self, id: &str) -> bool {
            id == "m"
        }
        fn members(&self) -> Vec<String> {
            panic!("not needed")
        }
    }
    let matches = |text: &str| {
        Filter::parse(text, ResourceType::Group, schemas(), &Limits::default())
            .unwrap()
            .matches(&Indexed)
    };
    assert!(matches("members eq \"m\""));
    assert!(matches("members[value eq \"x\" or value eq \"m\"]"));
    assert!(!matches("members.value eq \"M\""));
    let group = Stored {
        attributes: Map::new(),
        members: vec!["abc".into()],
    };
    let matches = |text: &str| {
        Filter::parse(text, ResourceType::Group, schemas(), &Limits::default())
            .unwrap()
            .matches(&group)
    };
    assert!(
        matches("members co \"b\"")
            && matches("members pr")
            && matches("members[type eq \"User\" and value sw \"a\"]")
    );
    assert!(!matches("members.display pr") && !matches("members[value sw \"b\"]"));
}

#[test]
fn a_password_cannot_be_asked_for() {
    let problem = parse("password sw \"a\"").unwrap_err();
    assert_eq!(
        (problem.status, problem.scim_type),
        (403, Some(ScimType::Sensitive))
    );
}

#[test]
fn numbers_and_times_are_compared_as_such() {
    let extension = json!({"id": "urn:example:app:1.0:User", "name": "App", "attributes": [
        {"name": "seats", "type": "integer"}, {"name": "since", "type": "dateTime"}, {"name": "tags", "multiValued": true, "type": "string"},
    ]});
    let schemas = Schemas::new(&[extension], &[]);
    let user = Stored {
        attributes: json!({"urn:example:app:1.0:User": {"seats": 10, "since": "2026-01-01T00:00:00Z", "tags": ["a", "b"]}}).as_object().unwrap().clone(),
        members: Vec::new(),
    };
    let matches = |text: &str| {
        let filter = Filter::parse(text, ResourceType::User, &schemas, &Limits::default());
        filter.unwrap().matches(&user)
    };
    assert!(
        matches("seats gt 9")
            && matches("seats eq 10.0")
            && matches("seats le 1e1")
            && !matches("seats lt 10")
    );
    assert!(matches(
        "urn:example:app:1.0:User:since eq \"2026-01-01T01:00:00+01:00\""
    ));
    assert!(
        matches("tags eq \"B\"") && matches("tags[value eq \"b\"]") && !matches("tags eq \"c\"")
    );
    assert!(
        matches("urn:example:app:1.0:User pr")
            && !matches("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr")
    );
    assert!(
        Filter::parse(
            "seats co 1",
            ResourceType::User,
            &schemas,
            &Limits::default()
        )
        .is_err()
    );
    assert!(
        Filter::parse(
            "seats eq \"1\"",
            ResourceType::User,
            &schemas,
            &Limits::default()
        )
        .is_err()
    );
}

#[test]
fn folding_does_not_depend_on_the_place_in_a_word() {
    assert_eq!(fold_case("ΟΔΟΣ"), fold_case("οδοσ"));
    assert_eq!(fold_case("ΟΔΟΣ"), fold_case("οδος"));
    assert_eq!(fold_case("MÜLLER"), "müller");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,60}") {
        let _ = parse(&text);
    }
    #[test]
    fn arbitrary_pieces_never_panic(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "emails", "[", "]", "(", ")", "not ", " and ", " or ", " eq ", " pr", "\"x\"", ".value", "type", "\\", "true", "1", "é", "members", "urn:", " ",
    ]), 0..14)) {
        if let Ok(filter) = parse(&pieces.concat()) {
            let user = Stored { attributes: Map::new(), members: Vec::new() };
            let _ = filter.matches(&user);
            let _ = filter.narrow();
        }
    }
}
