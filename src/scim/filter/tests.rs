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
    fn is_linked(&self, id: &str) -> bool {
        self.members.iter().any(|member| member == id)
    }
    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        let links = self.members.iter();
        links
            .map(|id| json!({"value": id, "type": "User"}))
            .any(|link| will_do(&link))
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
        "userName eq \"a\" or title pr",
        "not (id eq \"b\")",
        "displayName eq \"x\"",
        "emails[not (value eq \"a\")]",
        "emails.type eq \"work\"",
    ] {
        assert_eq!(narrow(text), None, "{text}");
    }
    let either = vec![
        Narrow::UserName("a".into()),
        Narrow::Email("b".into()),
        Narrow::InGroup("c".into()),
    ];
    assert_eq!(
        narrow("userName eq \"a\" or (emails[value eq \"b\"] or groups.value eq \"c\") or nope pr"),
        Some(Narrow::AnyOf(either))
    );
    assert_eq!(
        narrow("title pr and (nope pr or nope.x eq 5)"),
        Some(Narrow::Nothing)
    );
    assert_eq!(
        narrow("groups[value eq \"g\" and display eq \"x\"]"),
        Some(Narrow::InGroup("g".into()))
    );
    let many = vec!["userName eq \"a\""; 101].join(" or ");
    assert_eq!(narrow(&many), None);
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
        "members[type eq \"User\" and value eq \"m\"]",
        "displayName pr and members eq \"m\"",
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
        fn is_linked(&self, id: &str) -> bool {
            id == "m"
        }
        fn any_link(&self, _: &mut dyn FnMut(&Value) -> bool) -> bool {
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
fn what_is_sensitive_stands_in_no_address() {
    let sensitive = [
        "Emails",
        "name.familyName",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ];
    let sensitive = sensitive.map(str::to_owned);
    let of = ResourceType::User;
    let in_address =
        |text: &str| Filter::parse_in_address(text, of, schemas(), &Limits::default(), &sensitive);
    for text in [
        "password sw \"a\"",
        "emails.type eq \"work\"",
        "title pr and not (urn:ietf:params:scim:schemas:core:2.0:User:emails[value sw \"a\"])",
        "name.FamilyName pr",
        "name pr",
        "name[givenName pr]",
        "manager pr",
    ] {
        let problem = in_address(text).unwrap_err();
        let told = (problem.status, problem.scim_type);
        assert_eq!(told, (403, Some(ScimType::Sensitive)), "{text}");
        assert!(problem.detail.contains(".search"), "{problem}");
    }
    assert!(in_address("userName sw \"a\" and name.givenName pr").is_ok());
    assert!(parse("emails pr and name pr").is_ok());
    assert!(refused("password sw \"a\"").contains("not kept"));
}

#[test]
fn a_strict_connection_knows_only_what_is_defined_and_written_as_the_grammar_has_it() {
    let strict = Limits {
        strict: true,
        ..Limits::default()
    };
    let parse = |text: &str| Filter::parse(text, ResourceType::User, schemas(), &strict);
    for text in [
        "nope pr",
        "name.nope eq \"x\"",
        "emails[nope eq \"x\"]",
        "department eq \"x\"",
        "urn:nope:x pr",
        "active eq \"true\"",
        "emails[type eq \"work\"] pr",
        "emails[type eq \"work\"].value eq \"x\"",
    ] {
        let problem = parse(text).unwrap_err();
        assert_eq!(problem.scim_type, Some(ScimType::InvalidFilter), "{text}");
        assert!(problem.detail.contains("character"), "{problem}");
    }
    for text in [
        "active Eq true and USERNAME sw \"a\"",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"x\"",
        "emails[type eq \"work\" and (value co \"a\" or not (primary eq true))]",
        "meta.lastModified gt \"2026-01-01T00:00:00Z\" and schemas eq \"x\"",
    ] {
        assert!(parse(text).is_ok(), "{text}");
    }
}

#[test]
fn brackets_ask_for_one_value_that_meets_all_of_the_inside() {
    let user = Stored {
        attributes: json!({
            "name": {"familyName": "F", "givenName": "G"},
            "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x", "type": "home", "primary": true}],
            "x509Certificates": [{"value": "MIIB"}],
        })
        .as_object()
        .unwrap()
        .clone(),
        members: Vec::new(),
    };
    for (text, expected) in [
        (
            "emails[type eq \"work\" and (value co \"a\" or not (primary eq true))]",
            true,
        ),
        (
            "emails[type eq \"work\" and (value co \"b\" or primary eq true)]",
            false,
        ),
        ("emails[not (type eq \"work\" or primary eq true)]", false),
        (
            "emails[type ne \"work\" and primary eq true or value pr and type eq null]",
            true,
        ),
        ("name[familyName eq \"f\" and givenName sw \"g\"]", true),
        ("name[familyName eq \"f\" and givenName sw \"h\"]", false),
        (
            "x509Certificates.value sw \"MII\" and not (x509Certificates sw \"mii\")",
            true,
        ),
        (
            "emails.primary eq \"True\" and name.middleName eq null",
            true,
        ),
    ] {
        assert_eq!(parse(text).unwrap().matches(&user), expected, "{text}");
    }
    assert!(refused("title[value eq \"x\"]").contains("brackets need"));
    assert!(refused("x509Certificates.value gt \"a\"").contains("no order"));
}

#[test]
fn reading_a_filter_costs_a_few_looks_at_each_byte_however_it_is_nested() {
    let wide = Limits {
        filter: usize::MAX,
        ..Limits::default()
    };
    let kind = schemas().kind(ResourceType::User);
    let nested = format!("{}title pr{}", "(".repeat(32), ")".repeat(32));
    for piece in [
        "title pr",
        "not (not (not (title pr)))",
        "emails[type eq \"work\" and (value co \"a\" or primary eq true)]",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"\\u0041\\\\\"",
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn eq \"x\"",
        "title eq \"                                                  \"",
        "title                       eq                         \"x\"",
        &nested,
    ] {
        for count in [1, 10, 1_000] {
            let text = vec![piece; count].join(" or ");
            let mut parser = Parser::new(&text, 0, kind, &wide, Scope::Resource);
            parser.whole().unwrap();
            assert!(
                parser.looked() <= 6 * text.len() + 60,
                "{count} times {piece}: {}",
                parser.looked()
            );
        }
    }
}

/// Counts the members that are looked at.
struct Counting<'a>(&'a Stored, std::cell::Cell<usize>);
impl Subject for Counting<'_> {
    fn attributes(&self) -> &Map<String, Value> {
        self.0.attributes()
    }
    fn is_linked(&self, id: &str) -> bool {
        self.0.is_linked(id)
    }
    fn any_link(&self, will_do: &mut dyn FnMut(&Value) -> bool) -> bool {
        self.0.any_link(&mut |link| {
            self.1.set(self.1.get() + 1);
            will_do(link)
        })
    }
}

#[test]
fn judging_looks_at_each_member_once_for_each_comparison_at_most() {
    let group = Stored {
        attributes: Map::new(),
        members: (0..1_000).map(|n| n.to_string()).collect(),
    };
    let looks = |text: &str| {
        let subject = Counting(&group, std::cell::Cell::new(0));
        let filter = Filter::parse(text, ResourceType::Group, schemas(), &Limits::default());
        filter.unwrap().matches(&subject);
        subject.1.get()
    };
    assert_eq!(
        looks(&vec!["members.value co \"x\""; 100].join(" or ")),
        100_000
    );
    assert_eq!(looks("members[value co \"x\" or type eq \"y\"]"), 1_000);
    assert_eq!(looks("members pr and not (members eq null)"), 2);
    assert_eq!(looks("members eq \"5\""), 0);
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
            && matches("seats gt 9.99 and seats lt 10.01 and seats lt 1e300 and seats gt -1e300")
            && matches("seats eq 1.0e1 and not (seats eq 10.5) and seats ne 18446744073709551615")
    );
    let big = Stored {
        attributes: json!({"urn:example:app:1.0:User": {"seats": 9_007_199_254_740_993_i64}})
            .as_object()
            .unwrap()
            .clone(),
        members: Vec::new(),
    };
    for (text, expected) in [
        ("seats gt 9007199254740992.0", true),
        ("seats eq 9007199254740993", true),
        ("seats eq 9007199254740992", false),
    ] {
        let filter = Filter::parse(text, ResourceType::User, &schemas, &Limits::default());
        assert_eq!(filter.unwrap().matches(&big), expected, "{text}");
    }
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
    assert_eq!(fold_case("Jose\u{301}"), fold_case("JOS\u{c9}"));
    assert_eq!(fold_case("\u{ff21}\u{ff42}c"), "abc");
    assert_ne!(fold_case("\u{2460}"), "1", "only width, not every likeness");
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
