//! Snyk behind the contract where it answers as no simulator does: two users of
//! one address, a user with two memberships, an account that was made anew, and
//! answers that are not about what was asked. Every call is written down, in its
//! order.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::{
    plan::state::UserKey,
    scim::resource::ResourceId,
    upstream::{MemberOutcome, client::TokenSource, rest::tests::script::Script},
};

mod anew;
mod removals;
mod sso;

const GROUP: &str = "10000000-0000-4000-8000-000000000001";
const ADMIN: &str = "30000000-0000-4000-8000-000000000001";
const VIEWER: &str = "30000000-0000-4000-8000-000000000002";
const MEMBER: &str = "30000000-0000-4000-8000-000000000003";

/// A connection to what is written down; one role is a SCIM Group.
async fn snyk(lines: &[(String, u16, Value)]) -> (Script, Arc<dyn Upstream>) {
    let script = script(lines).await;
    let upstream = giving(VIEWER, &script);
    (script, upstream)
}

async fn script(lines: &[(String, u16, Value)]) -> Script {
    let texts: Vec<String> = lines.iter().map(|(.., body)| text(body)).collect();
    let lines: Vec<(&str, u16, &str)> = lines
        .iter()
        .zip(&texts)
        .map(|((asked, status, _), body)| (asked.as_str(), *status, body.as_str()))
        .collect();
    Script::start(&lines).await
}

/// A connection of which a role is the only SCIM Group.
fn giving(role: &str, script: &Script) -> Arc<dyn Upstream> {
    let groups = format!("[[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"{role}\"");
    let upstream = open(Settings {
        base_url: Some(format!("http://{}/rest", script.address)),
        token: TokenSource::Literal("a-token".to_owned().into()),
        ..toml::from_str(&groups).unwrap()
    });
    upstream.unwrap()
}

fn text(body: &Value) -> String {
    if body.is_null() {
        return String::new();
    }
    body.to_string()
}

fn membership(id: &str, user: &str, role: &str) -> Value {
    let name = match role {
        ADMIN => "group_admin",
        VIEWER => "group_viewer",
        _ => "group_member",
    };
    json!({ "id": id, "relationships": {
        "role": { "data": { "id": role, "attributes": { "name": name } } },
        "user": { "data": { "id": user, "attributes": { "email": "ann@example.com" } } },
    } })
}

/// Memberships of the Snyk Group, asked for in one way.
fn look(by: &str, found: &[Value]) -> (String, u16, Value) {
    let by = if by.is_empty() {
        "include_group_membership_count=true"
    } else {
        by
    };
    let path = format!("GET /rest/groups/{GROUP}/memberships?{by}&limit=100&version=2025-11-05");
    (path, 200, json!({ "data": found }))
}

fn group() -> (String, u16, Value) {
    let path = format!("GET /rest/groups/{GROUP}?version=2025-11-05");
    let group = json!({ "data": { "id": GROUP, "attributes": { "name": "Example" } } });
    (path, 200, group)
}

fn delete(id: &str, status: u16) -> (String, u16, Value) {
    let path = format!("DELETE /rest/groups/{GROUP}/memberships/{id}?version=2025-11-05");
    (path, status, Value::Null)
}

fn create(user: &str, status: u16, answer: Value) -> (String, u16, Value) {
    let path = format!("POST /rest/groups/{GROUP}/memberships?version=2025-11-05");
    let body = wire::creation(GROUP, user, VIEWER);
    (format!("{path} {body}"), status, answer)
}

const BY_EMAIL: &str = "email=ann%40example.com";

fn ann() -> Principal {
    Principal {
        user: UserKey(1),
        id: ResourceId::from_bytes([1; 16]),
        account: "ann@example.com".into(),
        upstream_id: Some("old".into()),
        counts: None,
        given_up: Vec::new(),
        elsewhere: Vec::new(),
        keeps: Vec::new(),
        families: Vec::new(),
        twins: Vec::new(),
        has: false,
        holding: None,
        fallback: None,
    }
}

fn role() -> String {
    format!("{GROUP}/{VIEWER}")
}

async fn remove(upstream: &Arc<dyn Upstream>) -> Result<MemberOutcome, UpstreamError> {
    let operation = Operation::RemoveMembers {
        group: role(),
        members: vec![ann()],
    };
    Ok(upstream.apply(&operation).await?.members.remove(0).1)
}

async fn add(upstream: &Arc<dyn Upstream>) -> Result<MemberOutcome, UpstreamError> {
    let operation = Operation::AddMembers {
        group: role(),
        members: vec![ann()],
    };
    Ok(upstream.apply(&operation).await?.members.remove(0).1)
}

async fn withdraw(upstream: &Arc<dyn Upstream>) -> Result<Outcome, UpstreamError> {
    let principal = ann();
    let operation = Operation::DeactivateUser { principal };
    upstream.apply(&operation).await
}

fn unread((path, ..): (String, u16, Value)) -> (String, u16, Value) {
    (path, 404, Value::Null)
}

fn link() -> Operation {
    Operation::CreateUser {
        account: "ann@example.com".into(),
        role: None,
        fields: std::collections::BTreeMap::new(),
        upstream_id: None,
    }
}

#[tokio::test]
async fn a_snyk_group_that_is_not_shown_for_a_while_is_waited_for() {
    let (script, upstream) =
        snyk(&[create("old", 404, Value::Null), unread(look(BY_EMAIL, &[]))]).await;
    let later = add(&upstream).await;
    assert!(
        matches!(later, Err(UpstreamError::Later { .. })),
        "{later:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn a_withdrawal_ends_every_membership_that_is_shown() {
    let two = [
        membership("m-1", "old", VIEWER),
        membership("m-2", "old", MEMBER),
    ];
    let (script, upstream) = snyk(&[
        look("user_id=old", &two),
        look("user_id=old", &two),
        delete("m-1", 204),
        delete("m-2", 204),
    ])
    .await;
    let twice = remove(&upstream).await;
    let Err(UpstreamError::Barred { reason }) = &twice else {
        panic!("{twice:?}")
    };
    assert!(reason.contains("two memberships"), "{reason}");
    withdraw(&upstream).await.unwrap();
    script.all_was_asked();
}

#[tokio::test]
async fn a_look_right_before_the_end_that_shows_something_serves_for_it() {
    let (by_id, is) = ("user_id=old", membership("m-1", "old", MEMBER));
    let (script, upstream) = snyk(&[
        look(by_id, std::slice::from_ref(&is)),
        delete("m-1", 204),
        // It has served, and so does none that shows nothing.
        look(by_id, &[]),
        look(by_id, &[membership("m-2", "old", MEMBER)]),
        delete("m-2", 204),
        // What is not there as it was shown is looked at once more.
        look(by_id, &[membership("m-3", "old", MEMBER)]),
        delete("m-3", 404),
        look(by_id, &[membership("m-4", "old", MEMBER)]),
        delete("m-4", 204),
    ])
    .await;
    let has = async || upstream.has(&role(), &ann()).await.unwrap();
    assert_eq!(has().await, Some(false), "another role");
    withdraw(&upstream).await.unwrap();
    assert_eq!(has().await, Some(false));
    withdraw(&upstream).await.unwrap();
    has().await;
    withdraw(&upstream).await.unwrap();
    script.all_was_asked();
}

#[tokio::test]
async fn what_can_be_withdrawn_is_withdrawn_and_the_rest_is_told() {
    let two = [
        membership("m-1", "old", VIEWER),
        membership("m-2", "old", MEMBER),
    ];
    let (script, upstream) = snyk(&[
        look("user_id=old", &two),
        delete("m-1", 409),
        delete("m-2", 204),
        look("user_id=old", &two[..1]),
        delete("m-1", 409),
    ])
    .await;
    let Err(UpstreamError::Partly { reason }) = withdraw(&upstream).await else {
        panic!("one of two can be withdrawn")
    };
    assert!(reason.contains("organizations"), "{reason}");
    // When nothing is left but that one, nothing can be done.
    let refused = withdraw(&upstream).await;
    assert!(
        matches!(refused, Err(UpstreamError::Barred { .. })),
        "{refused:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn pages_with_nothing_on_them_come_to_an_end() {
    let page = |after: &str, next: &str| {
        let path = format!(
            "GET /rest/groups/{GROUP}/memberships?user_id=old&limit=100{after}&version=2025-11-05"
        );
        let next = format!("/groups/{GROUP}/memberships?starting_after={next}");
        (path, 200, json!({ "data": [], "links": { "next": next } }))
    };
    let (script, upstream) = snyk(&[
        page("", "1"),
        page("&starting_after=1", "2"),
        page("&starting_after=2", "3"),
    ])
    .await;
    let later = remove(&upstream).await;
    assert!(
        matches!(later, Err(UpstreamError::Later { .. })),
        "{later:?}"
    );
    script.all_was_asked();
}

#[tokio::test]
async fn a_list_that_gives_the_same_page_again_is_none_whatever_leads_on() {
    let page = |after: &str, next: &str| {
        let path = format!(
            "GET /rest/groups/{GROUP}/memberships?include_group_membership_count=true&limit=100\
             {after}&version=2025-11-05"
        );
        let next = format!("/groups/{GROUP}/memberships?starting_after={next}");
        let one = membership("m-1", "old", VIEWER);
        (
            path,
            200,
            json!({ "data": [one], "links": { "next": next } }),
        )
    };
    let (script, upstream) = snyk(&[page("", "1"), page("&starting_after=1", "2")]).await;
    let refused = upstream.members(&role()).await.unwrap_err().to_string();
    assert!(refused.contains("came twice"), "{refused}");
    script.all_was_asked();
}

#[tokio::test]
async fn a_list_that_never_ends_is_given_up_before_it_fills_the_memory() {
    let long = "x".repeat(7 * 1024 * 1024);
    let page = |place: usize| {
        let after = if place == 0 {
            String::new()
        } else {
            format!("&starting_after={place}")
        };
        let path = format!(
            "GET /rest/groups/{GROUP}/memberships?include_group_membership_count=true&limit=100\
             {after}&version=2025-11-05"
        );
        let next = format!("/groups/{GROUP}/memberships?starting_after={}", place + 1);
        let mut one = membership(&format!("m-{place}"), &format!("u-{place}"), VIEWER);
        one["relationships"]["user"]["data"]["attributes"]["name"] = long.clone().into();
        (
            path,
            200,
            json!({ "data": [one], "links": { "next": next } }),
        )
    };
    // The tenth page is the one that is too much.
    let pages: Vec<_> = (0..10).map(page).collect();
    let (script, upstream) = snyk(&pages).await;
    let refused = upstream.members(&role()).await.unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("within 64 MiB; 10 entries"), "{told}");
    script.all_was_asked();
}

#[tokio::test]
async fn whether_one_user_is_in_a_group_is_asked_of_the_user() {
    let (script, upstream) = snyk(&[
        look("user_id=old", &[membership("m-1", "old", VIEWER)]),
        look("user_id=old", &[membership("m-1", "old", MEMBER)]),
    ])
    .await;
    assert_eq!(upstream.has(&role(), &ann()).await, Ok(Some(true)));
    assert_eq!(upstream.has(&role(), &ann()).await, Ok(Some(false)));
    script.all_was_asked();
}

#[tokio::test]
async fn what_was_given_as_a_group_that_is_none_any_more_gives_way() {
    let had = [membership("m-1", "old", MEMBER)];
    let asked = |given_up: &[&str]| Operation::AddMembers {
        group: role(),
        members: vec![Principal {
            given_up: given_up.iter().map(|&it| it.to_owned()).collect(),
            ..ann()
        }],
    };
    let change = format!("PATCH /rest/groups/{GROUP}/memberships/m-1?version=2025-11-05");
    let body = wire::role_update("m-1", VIEWER);
    let (script, upstream) = snyk(&[
        create("old", 409, Value::Null),
        look("user_id=old", &had),
        create("old", 409, Value::Null),
        look("user_id=old", &had),
        (format!("{change} {body}"), 204, Value::Null),
    ])
    .await;
    let stays = upstream.apply(&asked(&[])).await;
    assert!(
        matches!(&stays, Err(UpstreamError::Barred { reason }) if reason.contains("neither lowered")),
        "{stays:?}"
    );
    let given_up = format!("{GROUP}/{MEMBER}");
    let done = upstream.apply(&asked(&[&given_up])).await.unwrap();
    assert_eq!(done.members[0].1, MemberOutcome::Applied);
    script.all_was_asked();
}

#[tokio::test]
async fn who_was_read_with_a_lesser_role_is_raised_at_once_and_looked_at_where_that_is_not_so() {
    let change = |id: &str, status: u16| {
        let path = format!("PATCH /rest/groups/{GROUP}/memberships/{id}?version=2025-11-05");
        let body = wire::role_update(id, VIEWER);
        (format!("{path} {body}"), status, Value::Null)
    };
    let all = |id: &str| {
        let everybody = [
            membership("m-9", "vic", VIEWER),
            membership(id, "old", MEMBER),
        ];
        look("", &everybody)
    };
    // One for all who are raised within a few seconds.
    let administer = || look("role_name=group_admin", &[membership("m-8", "root", ADMIN)]);
    let (script, upstream) = snyk(&[
        all("m-1"),
        administer(),
        change("m-1", 204),
        all("m-2"),
        // The reading may lag behind the change, so it is not relied on.
        look("user_id=old", &[membership("m-3", "old", MEMBER)]),
        change("m-3", 204),
    ])
    .await;
    upstream.members(&role()).await.unwrap();
    assert_eq!(add(&upstream).await, Ok(MemberOutcome::Applied));
    upstream.members(&role()).await.unwrap();
    assert_eq!(add(&upstream).await, Ok(MemberOutcome::Applied));
    script.all_was_asked();

    let (script, upstream) = snyk(&[
        all("m-1"),
        administer(),
        change("m-1", 404),
        look("user_id=old", &[membership("m-2", "old", MEMBER)]),
        change("m-2", 204),
    ])
    .await;
    upstream.members(&role()).await.unwrap();
    assert_eq!(add(&upstream).await, Ok(MemberOutcome::Applied));
    script.all_was_asked();
}

#[tokio::test]
async fn a_success_that_refuses_or_is_not_documented_took_nothing_away() {
    let refusal = json!({ "errors": [{ "status": "403", "detail": "not allowed" }] });
    let had = [membership("m-1", "old", VIEWER)];
    let gone = |status: u16, answer: &Value| {
        let (path, ..) = delete("m-1", status);
        (path, status, answer.clone())
    };
    for (status, answer, refused) in [
        (200, &refusal, true),
        (207, &refusal, true),
        (202, &json!({}), false),
        (200, &Value::Null, false),
    ] {
        let (script, upstream) = snyk(&[look("user_id=old", &had), gone(status, answer)]).await;
        let end = remove(&upstream).await;
        let is_refused = matches!(end, Err(UpstreamError::Barred { .. }));
        let is_unknown = matches!(end, Err(UpstreamError::Unknown { .. }));
        assert_eq!((is_refused, is_unknown), (refused, !refused), "{end:?}");
        script.all_was_asked();
    }
}

#[tokio::test]
async fn a_refusal_is_told_without_remarks_on_what_can_be_done() {
    let refusal = json!({ "errors": [{ "status": "400", "detail": "no" }] });
    let (script, upstream) = snyk(&[create("old", 400, refusal), look(BY_EMAIL, &[])]).await;
    let reason = "Snyk refused it; its own words are in the bridge's log".to_owned();
    assert_eq!(add(&upstream).await, Err(UpstreamError::Barred { reason }));
    script.all_was_asked();
}

/// A connection to all Snyk Groups that are visible.
fn finding(script: &Script) -> Arc<dyn Upstream> {
    let upstream = open(Settings {
        base_url: Some(format!("http://{}/rest", script.address)),
        token: TokenSource::Literal("a-token".to_owned().into()),
        ..toml::from_str("").unwrap()
    });
    upstream.unwrap()
}

fn groups(ids: &[&str]) -> (String, u16, Value) {
    let one = |id: &&str| json!({ "id": id, "attributes": { "name": "Example" } });
    let all: Vec<Value> = ids.iter().map(one).collect();
    let path = "GET /rest/groups?limit=100&version=2025-11-05".to_owned();
    (path, 200, json!({ "data": all }))
}

/// As the store has it of an import before the start.
fn recalled(upstream: &Arc<dyn Upstream>, group: &str) {
    let role = format!("{group}/{VIEWER}");
    let fields = [("roleName".to_owned(), "group_viewer".to_owned())].into();
    let shown = upstream.group_attributes(&RemoteGroup {
        name: role.clone(),
        fields,
        ..RemoteGroup::default()
    });
    upstream.recall(&role, &shown);
}

#[tokio::test]
async fn by_the_key_of_another_organization_nobody_is_found_linked_or_ended() {
    const OTHER: &str = "10000000-0000-4000-9000-000000000001";
    let others = || groups(&[OTHER]);
    let script = script(&[others(), others(), others(), others(), others()]).await;
    let upstream = finding(&script);
    recalled(&upstream, GROUP);
    let told = |error: UpstreamError| {
        let UpstreamError::Later { reason, .. } = error else {
            panic!("{error:?}")
        };
        assert!(reason.contains("another organization"), "{reason}");
    };
    told(upstream.users().await.unwrap_err());
    told(upstream.user("ann@example.com").await.unwrap_err());
    told(upstream.apply(&link()).await.unwrap_err());
    told(withdraw(&upstream).await.unwrap_err());
    told(upstream.is_unseen(GROUP).await.unwrap_err());
    script.all_was_asked();
}

#[tokio::test]
async fn a_snyk_group_more_or_less_is_no_other_organization() {
    const OTHER: &str = "10000000-0000-4000-9000-000000000001";
    let at = |(path, status, answer): (String, u16, Value), group: &str| {
        (path.replace(GROUP, group), status, answer)
    };
    let had = |id: &str| look("user_id=old", &[membership(id, "old", VIEWER)]);
    let script = script(&[
        groups(&[GROUP]),
        had("m-1"),
        delete("m-1", 204),
        // Another one comes, and the first one is gone.
        groups(&[GROUP, OTHER]),
        had("m-2"),
        at(look("user_id=old", &[]), OTHER),
        delete("m-2", 204),
        groups(&[OTHER]),
        at(had("m-3"), OTHER),
        at(delete("m-3", 204), OTHER),
    ])
    .await;
    let upstream = finding(&script);
    recalled(&upstream, GROUP);
    for _ in 0..3 {
        withdraw(&upstream).await.unwrap();
    }
    script.all_was_asked();
}
