//! What an identity provider meets where a group is a role: nobody has two at
//! once, the next one is fallen back to, users come by signing in, and whoever
//! is deactivated is out of everything.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    okta::id_of,
    play::{Play, Scheme, Step},
};

const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const SNYK_GROUP: &str = "Example Inc.";

pub(super) async fn flow(play: &mut Play<'_>) {
    play.enter("An identity provider", Scheme::Bearer);
    let Some(groups) = groups(play).await else {
        return;
    };
    one_role(play, &groups).await;
    nobody_yet(play, &groups).await;
    leaves(play, &groups).await;
    refusals(play, &groups).await;
}

/// The ids of three groups, which are the roles of one Snyk Group.
struct Roles {
    admin: String,
    viewer: String,
    member: String,
    /// Somebody who has the least of them.
    somebody: String,
    /// Somebody who is in another Snyk Group, too.
    leaver: String,
}

async fn groups(play: &mut Play<'_>) -> Option<Roles> {
    let found = play
        .step(Step {
            says: "It lists the groups: each is a role in a Snyk Group.".into(),
            method: Method::GET,
            path: "/Groups?count=100".into(),
            body: None,
            status: 200,
            calls: 0,
        })
        .await;
    let list = found["Resources"].as_array().cloned().unwrap_or_default();
    let role = |name: &str| {
        let called = format!("{SNYK_GROUP}: {name}");
        list.iter().find(|group| group["displayName"] == called)
    };
    let first = |group: &Value| Some(group.pointer("/members/0/value")?.as_str()?.to_owned());
    let member = role("group_member")?;
    let labs = list
        .iter()
        .find(|group| group["displayName"] == "Example Labs: group_member")?;
    Some(Roles {
        admin: id_of(role("group_admin")?)?,
        viewer: id_of(role("group_viewer")?)?,
        member: id_of(member)?,
        somebody: first(member)?,
        leaver: first(labs)?,
    })
}

async fn one_role(play: &mut Play<'_>, groups: &Roles) {
    let who = &groups.somebody;
    let name = play
        .step(Step {
            says: "Somebody is a member there, and nothing more.".into(),
            method: Method::GET,
            path: format!("/Users/{who}"),
            body: None,
            status: 200,
            calls: 0,
        })
        .await;
    let email = name["userName"].as_str().unwrap_or_default().to_owned();
    for (says, group, operation, calls, role) in [
        (
            "It is put into the group of viewers, too. A user has one role in Snyk, so it is \
             changed: by one call, as it was read a moment ago that it is a lesser one, after a \
             look that finds others to administer the Snyk Group; that look serves for a \
             while.",
            &groups.viewer,
            add(who),
            2,
            "group_viewer",
        ),
        (
            "It leaves the viewers: the group of members still has it, so that role is fallen \
             back to: one call, as the answer to the last one told what it has.",
            &groups.viewer,
            remove(who),
            1,
            "group_member",
        ),
        (
            "It becomes an administrator: the same again.",
            &groups.admin,
            add(who),
            1,
            "group_admin",
        ),
        (
            "And a viewer besides. That changes nothing in Snyk, as was told just now: no call.",
            &groups.viewer,
            add(who),
            0,
            "group_admin",
        ),
    ] {
        patch(play, says, group, operation, calls).await;
        expect_role(play, &email, Some(role));
    }
}

async fn nobody_yet(play: &mut Play<'_>, groups: &Roles) {
    let new = play
        .step(Step {
            says: "Alva is hired. Snyk makes no users, and she has not signed in there yet, so she is \
                   looked for and kept until she appears."
                .into(),
            method: Method::POST,
            path: "/Users".into(),
            body: Some(json!({
                "schemas": [USER],
                "userName": "alva.lind@example.com",
                "active": true,
            })),
            status: 201,
            calls: 3,
        })
        .await;
    let says = "Her membership is kept with her: accepted at once, and nothing to be sent.";
    let who = id_of(&new).unwrap_or_default();
    patch(play, says, &groups.member, add(&who), 0).await;
}

async fn leaves(play: &mut Play<'_>, groups: &Roles) {
    let active = json!([{ "op": "replace", "value": { "active": false } }]);
    let left = play
        .step(Step {
            says:
                "Somebody in two Snyk Groups, where an import has found it, is deactivated: out of \
                 both, after a look at what is there still, which is what would be given back."
                    .into(),
            method: Method::PATCH,
            path: format!("/Users/{}", groups.leaver),
            body: Some(json!({ "schemas": [PATCH], "Operations": active })),
            status: 200,
            calls: 5,
        })
        .await;
    let email = left["userName"].as_str().unwrap_or_default();
    let state = play.simulator.state();
    let mut members = state.groups.iter().flat_map(|group| &group.members);
    let gone = !members.any(|member| member == email);
    play.require(gone, "there is a membership left in Snyk");
}

async fn refusals(play: &mut Play<'_>, groups: &Roles) {
    let create = json!({ "schemas": [GROUP], "displayName": "New" });
    let rename = json!({ "schemas": [PATCH],
        "Operations": [{ "op": "replace", "path": "displayName", "value": "Other" }] });
    let path = format!("/Groups/{}", groups.viewer);
    for (says, method, path, body, status) in [
        (
            "It creates a group: refused with the reason, and no call.",
            Method::POST,
            "/Groups".to_owned(),
            Some(create),
            403,
        ),
        (
            "It renames one: refused.",
            Method::PATCH,
            path.clone(),
            Some(rename),
            400,
        ),
        ("It deletes one: refused.", Method::DELETE, path, None, 403),
    ] {
        play.step(Step {
            says: says.into(),
            method,
            path,
            body,
            status,
            calls: 0,
        })
        .await;
    }
}

fn add(user: &str) -> Value {
    json!({ "op": "add", "path": "members", "value": [{ "value": user }] })
}

fn remove(user: &str) -> Value {
    json!({ "op": "remove", "path": format!("members[value eq \"{user}\"]") })
}

async fn patch(play: &mut Play<'_>, says: &str, group: &str, operation: Value, calls: usize) {
    play.step(Step {
        says: says.to_owned(),
        method: Method::PATCH,
        path: format!("/Groups/{group}"),
        body: Some(json!({ "schemas": [PATCH], "Operations": [operation] })),
        status: 204,
        calls,
    })
    .await;
}

/// The role that somebody has in the Snyk Group now.
fn role_of(play: &Play<'_>, email: &str) -> Option<String> {
    let state = play.simulator.state();
    let mut roles = state.groups.iter().filter_map(|group| {
        let (name, role) = group.name.split_once('/')?;
        let has = group.members.iter().any(|member| member == email);
        (name == SNYK_GROUP && has).then(|| role.to_owned())
    });
    roles.next()
}

fn expect_role(play: &mut Play<'_>, email: &str, role: Option<&str>) {
    let now = role_of(play, email);
    let text = format!("the role in Snyk should be {role:?}, but is {now:?}");
    play.require(now.as_deref() == role, &text);
}
