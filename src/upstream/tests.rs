//! What holds for every application that can be configured: its table is whole,
//! its reasons are served, and the README tells it.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::{Upstream, client::TokenSource, hydden, opsera, snyk};
use crate::plan::capability::Act;

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
            let reason = serde_json::Value::from(&*row.note).to_string();
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
