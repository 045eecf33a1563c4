//! What Okta sends: lookups before creating, group push with a rename on every
//! change, removals and additions in one request, the bare token.

use reqwest::Method;
use serde_json::{Value, json};

use super::play::{Play, Scheme, Step};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The name that the group gets in the application.
const UPSTREAM_NAME: &str = "cloud-enablement-team";

pub(super) async fn flow(play: &mut Play<'_>) {
    play.enter("Okta", Scheme::Bare);
    let known = import(play).await;
    let new = hire(play).await;
    let Some(group) = push_group(play, &known, &new).await else {
        return;
    };
    change_members(play, &group, &known).await;
    replace_and_delete(play, &group, &known).await;
}

/// Reads the first page, as Okta's import does; the ids of five people.
async fn import(play: &mut Play<'_>) -> Vec<String> {
    let page = play
        .step(Step {
            says: "Okta imports the first page of the people who are already there.".into(),
            method: Method::GET,
            path: "/Users?startIndex=1&count=100".into(),
            body: None,
            status: 200,
            calls: 0,
        })
        .await;
    let people = page.get("Resources").and_then(Value::as_array);
    let active = |user: &&Value| user.get("active") == Some(&Value::Bool(true));
    let ids: Vec<String> = people
        .into_iter()
        .flatten()
        .filter(active)
        .filter_map(id_of)
        .take(6)
        .collect();
    play.require(ids.len() == 6, "fewer than six active people came back");
    ids
}

async fn hire(play: &mut Play<'_>) -> String {
    let found = play
        .step(Step {
            says: "Alva is hired. Okta first asks whether she is known.".into(),
            method: Method::GET,
            path:
                "/Users?filter=userName%20eq%20%22alva.lind%40example.com%22&startIndex=1&count=100"
                    .into(),
            body: None,
            status: 200,
            calls: 0,
        })
        .await;
    play.require(
        found.get("totalResults") == Some(&json!(0)),
        "an empty list was expected",
    );
    let alva = play
        .step(Step {
            says: "She is not, so Okta creates her; the application gets one call.".into(),
            method: Method::POST,
            path: "/Users".into(),
            body: Some(json!({
                "schemas": [USER],
                "userName": "alva.lind@example.com",
                "name": {"givenName": "Alva", "familyName": "Lind"},
                "emails": [{"primary": true, "value": "alva.lind@example.com", "type": "work"}],
                "displayName": "Alva Lind",
                "locale": "en-US",
                "externalId": "00u1alva",
                "groups": [],
                "active": true,
            })),
            status: 201,
            calls: 1,
        })
        .await;
    let state = play.simulator.state();
    let there = state
        .user("alva.lind@example.com")
        .is_some_and(|user| user.active);
    play.require(there, "the application has no active account for her");
    id_of(&alva).unwrap_or_default()
}

async fn push_group(play: &mut Play<'_>, known: &[String], new: &str) -> Option<String> {
    let [one, two, ..] = known else { return None };
    let group = play
        .step(Step {
            says: "Okta pushes a group with three members. Its name is no legal one in the application, so a legal one is made of it.".into(),
            method: Method::POST,
            path: "/Groups".into(),
            body: Some(json!({
                "schemas": [GROUP],
                "displayName": "Cloud Enablement Team",
                "members": [{"value": new}, {"value": one}, {"value": two}],
            })),
            status: 201,
            calls: 1,
        })
        .await;
    expect_members(play, 3);
    id_of(&group)
}

async fn change_members(play: &mut Play<'_>, group: &str, known: &[String]) {
    let [one, two, three, four, ..] = known else {
        return;
    };
    let mut patch = async |says: &str, operations: Value, calls: usize| {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        play.step(Step {
            says: says.into(),
            method: Method::PATCH,
            path: format!("/Groups/{group}"),
            body: Some(body),
            status: 204,
            calls,
        })
        .await;
    };
    patch(
        "Two more members: one call, naming only them.",
        json!([{"op": "add", "path": "members", "value": [{"value": three}, {"value": four}]}]),
        1,
    )
    .await;
    patch(
        "Okta repeats the group's name with every change. Nothing differs, so nothing is sent.",
        json!([{"op": "replace", "value": {"id": group, "displayName": "Cloud Enablement Team"}}]),
        0,
    )
    .await;
    patch(
        "Two leave and one joins, in one request: one call for each direction.",
        json!([
            {"op": "remove", "path": format!("members[value eq \"{one}\"]")},
            {"op": "remove", "path": format!("members[value eq \"{two}\"]")},
            {"op": "add", "path": "members", "value": [{"value": known.last(), "display": null}]},
        ]),
        2,
    )
    .await;
    expect_members(play, 4);
}

async fn replace_and_delete(play: &mut Play<'_>, group: &str, known: &[String]) {
    let members: Vec<Value> = known.iter().map(|id| json!({"value": id})).collect();
    let whole = json!({
        "schemas": [GROUP],
        "id": group,
        "displayName": "Cloud Enablement Team",
        "members": members,
    });
    play.step(Step {
        says: "\"Push Now\" writes the whole group. However many members differ, it is one call \
               for each direction, and whoever was put in by hand stays."
            .into(),
        method: Method::PUT,
        path: format!("/Groups/{group}"),
        body: Some(whole.clone()),
        status: 200,
        calls: 2,
    })
    .await;
    expect_members(play, 6);
    play.step(Step {
        says: "The same again: nothing differs, no call.".into(),
        method: Method::PUT,
        path: format!("/Groups/{group}"),
        body: Some(whole),
        status: 200,
        calls: 0,
    })
    .await;
    play.step(Step {
        says: "The group is no longer pushed: Okta deletes it. First it is read, as whoever was \
               put in by hand would go with it."
            .into(),
        method: Method::DELETE,
        path: format!("/Groups/{group}"),
        body: None,
        status: 204,
        calls: 2,
    })
    .await;
    let gone = play.members_upstream(UPSTREAM_NAME).is_none();
    play.require(gone, "the group is still in the application");
}

fn expect_members(play: &mut Play<'_>, number: usize) {
    let there = play
        .members_upstream(UPSTREAM_NAME)
        .map(|members| members.len());
    let text = format!(
        "the application's group {UPSTREAM_NAME} should have {number} members, but has {there:?}"
    );
    play.require(there == Some(number), &text);
}

pub(super) fn id_of(resource: &Value) -> Option<String> {
    Some(resource.get("id")?.as_str()?.to_owned())
}
