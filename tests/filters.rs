//! Filters (RFC 7644 section 3.4.2.2) over HTTP: every vector by GET and by
//! POST `.search`, what must not stand in an address, and strict connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use drawbridge::{bridge::Policy, scim::json::Limits};
use serde_json::{Value, json};

use super::{
    support::World,
    wire::{Answer, Running, with_policy},
};

const VECTORS: &str = include_str!("data/vectors/filter-vectors.json");
/// Vectors to which the answer is another one of those that the RFC leaves
/// open: an extension's attribute is known without its URN, which identity
/// providers leave out; text without quotes is refused, because it cannot be
/// told from a mistake.
const OTHERWISE: [&str; 2] = ["f178", "f240"];
/// How many there are; one that is left out by accident would be missed.
const VECTORS_THERE: usize = 127;
/// Vectors about what the corpus cannot have at this bridge: entitlements are
/// read-only before its application, and a user is active unless it says
/// otherwise, so that none is without `active`. In memory they are judged too.
const NOT_KEPT: [&str; 5] = ["f029", "f062", "f077", "f139", "f157"];

/// A bridge that keeps users the application cannot know.
async fn staging(more: Policy) -> Running {
    let policy = Policy {
        stage_users: true,
        ..more
    };
    with_policy(policy).await
}

fn strict() -> Policy {
    Policy {
        limits: Limits {
            strict: true,
            ..Limits::default()
        },
        ..Policy::default()
    }
}

async fn post(bridge: &Running, path: &str, body: &Value) -> Answer {
    bridge.ask("POST", path, &[], &body.to_string()).await
}

async fn find(bridge: &Running, endpoint: &str, filter: &str) -> Answer {
    let query = filter.bytes().fold(String::new(), |mut query, byte| {
        let _ = write!(query, "%{byte:02X}");
        query
    });
    bridge
        .get(&format!("/scim/v2/{endpoint}?count=1000&filter={query}"))
        .await
}

async fn search(bridge: &Running, endpoint: &str, filter: &str) -> Answer {
    let message = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
    let body = json!({"schemas": [message], "filter": filter, "count": 1000});
    post(bridge, &format!("/scim/v2/{endpoint}/.search"), &body).await
}

/// The vectors' corpus at a bridge, with the id of each resource by its key.
struct Corpus {
    ids: BTreeMap<String, String>,
}

impl Corpus {
    async fn at(bridge: &Running, vectors: &Value) -> Self {
        let mut ids = BTreeMap::new();
        for (list, endpoint, prefix) in [("users", "Users", ""), ("groups", "Groups", "g:")] {
            for (key, resource) in vectors["corpus"][list].as_object().unwrap() {
                let mut resource = resource.clone();
                if let Some(members) = resource.get_mut("members") {
                    let keys = members.as_array().unwrap().iter();
                    *members = keys
                        .map(|key| json!({"value": ids[key.as_str().unwrap()]}))
                        .collect();
                }
                let made = post(bridge, &format!("/scim/v2/{endpoint}"), &resource).await;
                assert_eq!(made.status, 201, "{key}: {}", made.text());
                let id = made.json()["id"].as_str().unwrap().to_owned();
                ids.insert(format!("{prefix}{key}"), id);
            }
        }
        Self { ids }
    }

    /// A vector's filter with the ids and times of this bridge.
    async fn filter(&self, bridge: &Running, vector: &Value) -> String {
        let mut text = vector["filter"].as_str().unwrap().to_owned();
        for (key, id) in &self.ids {
            text = text.replace(&format!("{{{{id:{key}}}}}"), id);
            let time = format!("{{{{created:{key}}}}}");
            if text.contains(&time) {
                let user = bridge.get(&format!("/scim/v2/Users/{id}")).await.json();
                text = text.replace(&time, user["meta"]["created"].as_str().unwrap());
            }
        }
        text
    }

    /// What an answer says, in the words of the vectors.
    fn outcome(&self, answer: &Answer) -> Value {
        if answer.status == 400 {
            assert_eq!(answer.json()["scimType"], "invalidFilter");
            return json!("400");
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list = answer.json();
        let found = list["Resources"].as_array().unwrap();
        assert_eq!(list["totalResults"], found.len());
        let key = |resource: &Value| {
            let mut ids = self.ids.iter();
            let (key, _) = ids.find(|(_, id)| resource["id"] == id.as_str()).unwrap();
            key.strip_prefix("g:").unwrap_or(key).to_owned()
        };
        let keys: BTreeSet<String> = found.iter().map(key).collect();
        json!(keys)
    }
}

/// What was found but the user whose `active` was left out.
fn without_bare(found: &Value) -> Value {
    let keys = found.as_array().into_iter().flatten();
    keys.filter(|key| *key != "bare").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_vector_has_its_answer_by_get_and_by_post() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let bridge = staging(Policy::default()).await;
    let corpus = Corpus::at(&bridge, &vectors).await;
    let (mut failures, mut otherwise, mut not_kept) = (Vec::new(), Vec::new(), Vec::new());
    let list = vectors["vectors"].as_array().unwrap();
    for vector in list {
        let filter = corpus.filter(&bridge, vector).await;
        let endpoint = match vector["resource"].as_str() {
            Some("Group") => "Groups",
            _ => "Users",
        };
        let got = corpus.outcome(&find(&bridge, endpoint, &filter).await);
        let by_post = corpus.outcome(&search(&bridge, endpoint, &filter).await);
        if got != by_post {
            failures.push(format!("{filter}: GET {got}, POST {by_post}"));
        }
        let wanted = if vector["invalid"] == true {
            &json!("400")
        } else {
            &vector["match"]
        };
        if got == *wanted {
            continue;
        }
        let also = vector["also"].as_array().cloned().unwrap_or_default();
        let id = vector["id"].as_str().unwrap();
        if also.contains(&got) {
            otherwise.push(id);
        } else if NOT_KEPT.contains(&id) && (got == json!([]) || without_bare(&got) == *wanted) {
            not_kept.push(id);
        } else {
            failures.push(format!("{} {filter}: {got}", vector["id"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!((list.len(), otherwise), (VECTORS_THERE, OTHERWISE.to_vec()));
    assert_eq!(not_kept, NOT_KEPT);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sensitive_is_found_by_post_alone() {
    let sensitive = [
        "emails",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        "name.familyName",
    ];
    let bridge = staging(Policy {
        sensitive_filters: sensitive.map(str::to_owned).into(),
        ..Policy::default()
    })
    .await;
    let user = json!({"userName": "a@x.org", "emails": [{"value": "a@x.org"}], "name": {"familyName": "F", "givenName": "G"}});
    assert_eq!(post(&bridge, "/scim/v2/Users", &user).await.status, 201);
    for filter in [
        "emails.value eq \"a@x.org\"",
        "userName sw \"a\" and emails[value eq \"a@x.org\"]",
        "Emails pr or employeeNumber eq \"1\"",
        "name.familyName eq \"F\" or urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value pr",
        "name pr",
    ] {
        let answer = find(&bridge, "Users", filter).await;
        let detail = answer.refused(403);
        assert_eq!(answer.json()["scimType"], "sensitive", "{filter}");
        assert!(detail.contains(".search"), "{detail}");
        let found = search(&bridge, "Users", filter).await.json();
        assert_eq!(found["totalResults"], 1, "{filter}");
    }
    for filter in ["userName eq \"a@x.org\"", "name.givenName eq \"g\""] {
        let found = find(&bridge, "Users", filter).await.json();
        assert_eq!(found["totalResults"], 1, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_found_by_nobody() {
    let bridge = staging(Policy::default()).await;
    let answer = find(&bridge, "Users", "password sw \"a\"").await;
    answer.refused(403);
    assert_eq!(answer.json()["scimType"], "sensitive");
    let answer = search(&bridge, "Users", "password sw \"a\"").await;
    answer.refused(400);
    assert_eq!(answer.json()["scimType"], "invalidFilter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_connection_refuses_what_is_not_defined() {
    let bridge = staging(strict()).await;
    for filter in [
        "noSuchAttr eq \"x\"",
        "name.noSuch pr",
        "emails[noSuch eq \"x\"]",
        "urn:example:nope:1.0:User:x eq \"y\"",
        "department eq \"x\"",
        "active eq \"True\"",
        "emails[type eq \"work\"].value eq \"x\"",
    ] {
        for answer in [
            find(&bridge, "Users", filter).await,
            search(&bridge, "Users", filter).await,
        ] {
            answer.refused(400);
            assert_eq!(answer.json()["scimType"], "invalidFilter", "{filter}");
        }
    }
    for filter in [
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"x\"",
        "USERNAME Eq \"x\" and active eq true",
        "emails[type eq \"work\" and (value co \"a\" or not (primary eq true))]",
    ] {
        assert_eq!(find(&bridge, "Users", filter).await.status, 200, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_decoded_as_clients_encode_it() {
    let bridge = staging(Policy::default()).await;
    let user = json!({"userName": "100% a+b"});
    assert_eq!(post(&bridge, "/scim/v2/Users", &user).await.status, 201);
    for query in [
        "filter=userName+eq+%22100%25+a%2Bb%22",
        "filter=username%20Eq%20%22100%%20a%2Bb%22",
    ] {
        let found = bridge.get(&format!("/scim/v2/Users?{query}")).await;
        assert_eq!(found.json()["totalResults"], 1, "{query}: {}", found.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_filter_is_in_the_log_whatever_its_level() {
    let world = World::with("[log]\nlevel = \"trace\"", &["--empty"]).await;
    for (path, status) in [
        ("/Users?filter=userName%20eq%20%22canary%22", 200),
        ("/Users?filter=userName+sw+%22canary%22+and+title+pr", 200),
        ("/Groups?filter=members.value%20eq%20%22canary%22", 200),
        ("/Users?filter=canary", 400),
        ("/Users?filter=password%20eq%20%22canary%22", 403),
        ("/Nothing?filter=title%20eq%20%22canary%22", 404),
    ] {
        world.get(path).await.expect(status);
    }
    let body = json!({"filter": "title eq \"canary\""});
    world.post("/Users/.search", body).await.expect(200);
    // The lines of the last answers may come after the answers.
    let end = Instant::now() + Duration::from_secs(10);
    let mut log = world.log();
    while log.matches("answered").count() < 7 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
        log = world.log();
    }
    assert!(log.matches("answered").count() >= 7, "{log}");
    assert!(!log.contains("canary"), "{log}");
}
