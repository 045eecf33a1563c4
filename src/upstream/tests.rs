//! What holds for every application that can be configured: its table is whole,
//! its reasons are served, and the README tells it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use serde_json::Value;

use super::{Upstream, client::TokenSource, hydden, opsera, rest, snyk};
use crate::{
    plan::capability::Act,
    scim::schema::{ENTERPRISE, GROUP, USER},
};

/// Every application, with what it does by default.
fn all() -> Vec<Arc<dyn Upstream>> {
    let token = || TokenSource::Literal("a-token".to_owned().into());
    let opsera = opsera::Settings {
        base_url: "https://app.opsera.io".into(),
        token: token(),
        ..opsera::Settings::default()
    };
    let hydden = hydden::Settings {
        base_url: "https://acme.hydden.io".into(),
        token: token(),
        ..hydden::Settings::default()
    };
    let snyk = snyk::Settings {
        token: token(),
        ..snyk::Settings::default()
    };
    vec![
        opsera::open(opsera).unwrap(),
        hydden::open(&hydden).unwrap(),
        snyk::open(snyk).unwrap(),
    ]
}

#[tokio::test]
async fn every_act_has_one_row_and_every_no_a_reason() {
    for application in all() {
        let can = application.capabilities();
        let acts: Vec<Act> = can.rows.iter().map(|row| row.act).collect();
        assert_eq!(acts, Act::ALL, "{}", can.application);
        for row in &can.rows {
            assert!(row.able || !row.note.is_empty(), "{row:?}");
        }
    }
}

#[tokio::test]
async fn every_reason_is_served_in_the_schemas_in_the_same_words() {
    for application in all() {
        let schemas = application.schemas();
        let served: Vec<String> = schemas
            .documents()
            .iter()
            .map(ToString::to_string)
            .collect();
        let served = served.concat();
        let can = application.capabilities();
        for row in can.rows.iter().filter(|row| !row.able) {
            let reason = Value::from(&*row.note).to_string();
            assert!(served.contains(reason.trim_matches('"')), "{row:?}");
        }
    }
}

#[tokio::test]
async fn the_readme_tells_what_each_application_can_do() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    for application in all() {
        let can = application.capabilities();
        let mut table = format!(
            "**{}**\n\n| act | able | in one call | by | certainty | reason or remark |\n|---|---|---|---|---|---|\n",
            can.application
        );
        for row in &can.rows {
            table.extend(["| ", &row.columns().join(" | "), " |\n"]);
        }
        assert!(readme.contains(&table), "README.md must hold:\n{table}");
    }
}

/// Whatever can be configured about what is written.
fn every_kind() -> Vec<Arc<dyn Upstream>> {
    let hydden = hydden::open(&read_hydden("write_groups = true")).unwrap();
    let opsera = |more: &str| {
        let text = format!("base_url = \"https://app.opsera.io\"\ntoken = \"t\"\n{more}");
        opsera::open(toml::from_str(&text).unwrap()).unwrap()
    };
    let mut kinds = all();
    kinds.extend([hydden, opsera("people = false\nunknown_roles = \"local\"")]);
    for writes in 0..1 << WRITES.len() {
        let chosen = (0..WRITES.len()).filter(|at| writes & (1 << at) != 0);
        let chosen: Vec<&str> = chosen.map(|at| WRITES[at]).collect();
        let text = [READ, &chosen.concat()].concat();
        let settings: rest::Settings = toml::from_str(&text).unwrap();
        let problems = settings.problems();
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        kinds.push(rest::open(settings).unwrap());
    }
    kinds
}

/// A declared application that is only read.
const READ: &str = r#"
name = "Acme"
base_url = "https://api.acme.example/v1"
token = "a-token"
user = { id = "/id", account = "/mail", active = "/on" }
group = { id = "/id", name = "/name" }
member = { id = "/id" }
[operations]
list_users = { path = "/users" }
list_groups = { path = "/groups" }
list_members = { path = "/groups/{group.id}/members" }
"#;
/// What else can be declared of it, each alone or with others.
const WRITES: [&str; 4] = [
    r#"create_user = { path = "/users", body = { mail = "{user.account}" }, id = "/id" }
"#,
    r#"deactivate_user = { path = "/users/{user.id}" }
"#,
    r#"create_group = { path = "/groups", body = { name = "{group.name}" }, id = "/id" }
"#,
    r#"add_members = { path = "/groups/{group.id}/members", body = [{ id = "{member.id}" }] }
remove_members = { path = "/groups/{group.id}/members/{member.id}" }
"#,
];

fn read_hydden(more: &str) -> hydden::Settings {
    let text = format!("base_url = \"https://acme.hydden.io\"\ntoken = \"t\"\n{more}");
    toml::from_str(&text).unwrap()
}

/// A schema's attributes and their parts, each with its dotted name.
fn attributes(under: &str, list: &Value, found: &mut Vec<(String, Value)>) {
    for attribute in list.as_array().into_iter().flatten() {
        let name = format!("{under}{}", attribute["name"].as_str().unwrap());
        attributes(&format!("{name}."), &attribute["subAttributes"], found);
        found.push((name, attribute.clone()));
    }
}

/// Words that say what becomes of something that is sent.
const OF_WRITING: [&str; 12] = [
    "array",
    "as sent",
    "is sent",
    "kept",
    "keeps them",
    "left out",
    "null",
    "removes",
    "replacement",
    "sent to",
    "sent when",
    "written at",
];

#[tokio::test]
async fn of_what_cannot_be_written_nothing_says_how_it_is_written() {
    for application in every_kind() {
        let can = application.capabilities();
        let schemas = application.schemas();
        for document in schemas.documents() {
            let mut all = Vec::new();
            attributes("", &document["attributes"], &mut all);
            for (name, attribute) in all {
                let what = format!("{} {} {name}", can.application, document["id"]);
                assert!(attribute.get("written").is_none(), "{what}");
                if attribute["mutability"] != "readOnly" {
                    continue;
                }
                let told = attribute["description"].as_str().unwrap().to_lowercase();
                let odd = OF_WRITING.iter().find(|words| told.contains(**words));
                assert_eq!(odd, None, "{what}: {told}");
            }
        }
    }
}

#[tokio::test]
async fn how_members_and_numbers_are_written_is_told_just_where_they_are() {
    let (mut writable, mut shown) = (0, 0);
    for application in every_kind() {
        let can = application.capabilities();
        let schemas = application.schemas();
        let told = |id: &str, name: &str| {
            let mut documents = schemas.documents().iter();
            let document = documents.find(|document| document["id"] == id).unwrap();
            let mut all = Vec::new();
            attributes("", &document["attributes"], &mut all);
            let found = all.into_iter().find(|(it, _)| it == name).unwrap().1;
            let writable = found["mutability"] != "readOnly";
            (writable, found["description"].as_str().unwrap().to_owned())
        };
        let says = |id, name, words: &str| {
            let (writable, told) = told(id, name);
            assert_eq!(told.contains(words), writable, "{name}: {told}");
            writable
        };
        let members = says(GROUP, "members", "an empty array removes all.");
        assert_eq!(members, can.can(Act::AddMembers), "{}", can.application);
        assert_eq!(says(GROUP, "members.type", "Left out"), members);
        says(USER, "phoneNumbers.value", "Kept as sent.");
        assert!(!told(ENTERPRISE, "manager.displayName").0);
        let count = if members { &mut writable } else { &mut shown };
        *count += 1;
    }
    assert!(writable > 0 && shown > 0);
}

#[tokio::test]
async fn a_group_of_which_no_name_is_written_is_not_said_to_have_one() {
    for (more, said) in [
        ("", "undone by the next copy"),
        (
            "write_groups = true",
            "only the name of a group is written here",
        ),
    ] {
        let application = hydden::open(&read_hydden(more)).unwrap();
        let schemas = application.schemas();
        let mut documents = schemas.documents().iter();
        let group = |document: &&Value| document["name"] == "HyddenGroup";
        let document = documents.find(group).unwrap();
        let told = document["attributes"][1]["description"].as_str().unwrap();
        assert!(told.contains(said), "{told}");
    }
}
