//! What an identity provider meets where the application can only be read:
//! everything is there, saying again what is so succeeds, and each change is
//! refused with its reason, without a call.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    okta::id_of,
    play::{Play, Scheme, Step},
};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The group that holds others.
const NAME: &str = "All of Engineering";

pub(super) async fn flow(play: &mut Play<'_>) {
    play.enter("An identity provider", Scheme::Bearer);
    let group = read(play).await;
    members(play, &group).await;
    everything_else(play, &group).await;
}

async fn read(play: &mut Play<'_>) -> Value {
    let path = format!(
        "/Groups?filter=displayName%20eq%20%22{}%22",
        NAME.replace(' ', "%20")
    );
    let found = play
        .step(step(
            "It looks for a group that holds others: only who is directly in it is a member.",
            (Method::GET, path),
            None,
            200,
        ))
        .await;
    let group = found.pointer("/Resources/0").cloned().unwrap_or_default();
    let shown = group["members"].as_array().map_or(0, Vec::len);
    let there = play.members_upstream(NAME).unwrap_or_default().len();
    play.require(shown == there && there > 0, "other members are shown");
    group
}

async fn members(play: &mut Play<'_>, group: &Value) {
    let path = format!("/Groups/{}", id_of(group).unwrap_or_default());
    let body = json!({ "schemas": [GROUP], "displayName": NAME, "members": group["members"] });
    play.step(step(
        "It says again what is so already: nothing to do.",
        (Method::PUT, path.clone()),
        Some(body),
        200,
    ))
    .await;
    let first = group.pointer("/members/0/value").cloned();
    for (says, operation) in [
        (
            "It removes a member: refused with the reason.",
            json!({ "op": "remove", "path": "members", "value": [{ "value": first }] }),
        ),
        (
            "It empties the group: refused.",
            json!({ "op": "replace", "path": "members", "value": [] }),
        ),
    ] {
        let body = json!({ "schemas": [PATCH], "Operations": [operation] });
        let answer = play
            .step(step(says, (Method::PATCH, path.clone()), Some(body), 400))
            .await;
        play.require(
            answer["scimType"] == "mutability",
            "the refusal is not called mutability",
        );
    }
}

async fn everything_else(play: &mut Play<'_>, group: &Value) {
    let user = group.pointer("/members/0/value").and_then(Value::as_str);
    let user = format!("/Users/{}", user.unwrap_or_default());
    let deactivate = json!({ "schemas": [PATCH],
        "Operations": [{ "op": "replace", "value": { "active": false } }] });
    let create = json!({ "schemas": [GROUP], "displayName": "New" });
    for (says, method, path, body, status) in [
        (
            "It deactivates somebody: refused, and not said to be done.",
            Method::PATCH,
            user.clone(),
            Some(deactivate),
            400,
        ),
        (
            "It deletes somebody: refused.",
            Method::DELETE,
            user,
            None,
            403,
        ),
        (
            "It creates a group: refused.",
            Method::POST,
            "/Groups".to_owned(),
            Some(create),
            403,
        ),
    ] {
        play.step(step(says, (method, path), body, status)).await;
    }
}

/// None of them costs a call.
fn step(says: &str, (method, path): (Method, String), body: Option<Value>, status: u16) -> Step {
    Step {
        says: says.to_owned(),
        method,
        path,
        body,
        status,
        calls: 0,
    }
}
