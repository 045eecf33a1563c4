//! Every documented operation of the three contracts is called, by the clients
//! of the bridge wherever they have a use for it, and every request and every
//! answer is as documented: a simulator judges its calls at its end, here as in
//! every other test. For those operations that the bridge leaves alone somebody
//! else calls.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::*;
use crate::upstream::{Millis, hydden as hydden_control};

/// Every documented operation was called.
#[track_caller]
fn all_are_called(simulator: &Judged) {
    let contract = &simulator.contract;
    let calls = simulator.calls();
    let called = calls.iter().filter_map(|call| contract.judge(call).0);
    let called: BTreeSet<&str> = called.collect();
    let documented = contract.operations.iter().map(|it| it.operation.as_str());
    assert_eq!(called, documented.collect());
}

/// Calls that no client of the bridge makes.
struct Somebody {
    http: reqwest::Client,
    base: String,
    media: &'static str,
}

impl Somebody {
    fn at(base: String) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
        Self {
            http: http.build().unwrap(),
            base,
            media: "application/json",
        }
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method, url).bearer_auth(TOKEN);
        if !body.is_null() {
            request = request.header("content-type", self.media);
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, Value::Null).await;
        assert!(status == 200 || status == 404, "{path}: {status} {body}");
        body
    }
}

#[actix_web::test]
async fn what_is_asked_of_opsera_and_answered_is_as_documented() {
    let bench = Bench::new();
    let upstream = &bench.upstream;
    let all = upstream.users().await.unwrap();
    upstream.profiles().await.unwrap();
    upstream.groups().await.unwrap();
    upstream.group("crew").await.unwrap().unwrap();
    assert_eq!(upstream.group("nobody").await.unwrap(), None);
    upstream.members("crew").await.unwrap();
    upstream.user(&email("ann")).await.unwrap().unwrap();
    assert_eq!(upstream.user(&email("nobody")).await.unwrap(), None);
    bench.add(&["cat", "dan"]).await.unwrap();
    bench.remove(&["ann"]).await.unwrap();
    bench.replace(&["ann", "ben"]).await.unwrap();
    let members = bench.principals(&["ann"]);
    let name = "new-team".to_owned();
    for again in [false, true] {
        let (name, members) = (name.clone(), members.clone());
        let made = bench.apply(Operation::CreateGroup { name, members }).await;
        assert_eq!(made.is_err(), again);
    }
    bench.apply(Operation::DeleteGroup { name }).await.unwrap();
    bench
        .apply(Operation::CreateUser {
            account: email("fay"),
            role: Some("Users".into()),
            upstream_id: None,
            fields: fields(&[("firstName", "Fay"), ("lastName", "Field")]),
        })
        .await
        .unwrap();
    let principal = bench.principals(&["fay"]).remove(0);
    for exists in [false, true] {
        bench
            .apply(Operation::UpsertProfile {
                account: email("fay"),
                fields: fields(&[("department", "Finance")]),
                exists: Some(exists),
            })
            .await
            .unwrap();
    }
    let role = "Auditors".to_owned();
    let set = Operation::SetRole {
        principal: principal.clone(),
        role,
    };
    bench.apply(set).await.unwrap();
    bench
        .apply(Operation::DeactivateUser { principal })
        .await
        .unwrap();
    upstream.check().await;
    let somebody = Somebody::at(bench.simulator.url());
    let id = all[0].upstream_id.clone().unwrap();
    somebody
        .get(&format!("/api/v2/usermanagement/user/{id}"))
        .await;
    somebody.get("/api/v2/data/people/ann@example.com").await;
    all_are_called(&bench.simulator);
}

#[actix_web::test]
async fn what_is_asked_of_hydden_control_and_answered_is_as_documented() {
    let company = small_company();
    let simulator = Judged::start(Application::Hydden, &company);
    let upstream = hydden_control::open(&hydden_control::Settings {
        base_url: simulator.url(),
        token: TokenSource::Literal(TOKEN.to_owned().into()),
        requests_per_second: 10_000,
        burst: 10_000,
        page_size: 2,
        write_groups: true,
        ..hydden_control::Settings::default()
    });
    let upstream = upstream.unwrap();
    let accounts = upstream.users().await.unwrap();
    let groups = upstream.groups().await.unwrap();
    upstream.members(&groups[0].name).await.unwrap();
    upstream.group(&groups[0].name).await.unwrap().unwrap();
    assert_eq!(upstream.group("grp-99").await.unwrap(), None);
    upstream.user(&accounts[0].account).await.unwrap().unwrap();
    upstream.check().await;
    let create = Operation::CreateGroup {
        name: "New & shiny".into(),
        members: Vec::new(),
    };
    let made = upstream.apply(&create).await.unwrap();
    let name = made.upstream_id.unwrap();
    let found = upstream.groups_called("New & shiny", Millis::MIN).await;
    assert_eq!(found.unwrap()[0].name, name);
    assert!(
        upstream
            .groups_called("New", Millis::MIN)
            .await
            .unwrap()
            .is_empty()
    );
    let title = "Newer".to_owned();
    let rename = Operation::RenameGroup {
        name: name.clone(),
        title,
    };
    upstream.apply(&rename).await.unwrap();
    assert!(
        upstream
            .groups_called("Newer", Millis::MAX)
            .await
            .unwrap()
            .is_empty()
    );
    upstream
        .apply(&Operation::DeleteGroup { name: name.clone() })
        .await
        .unwrap();
    let gone = upstream.apply(&rename).await;
    assert!(
        matches!(gone, Err(UpstreamError::Missing { .. })),
        "{gone:?}"
    );

    let somebody = Somebody::at(simulator.url());
    let new = json!({ "name": "fay", "email": "fay@example.com" });
    let (_, made) = somebody.send(Method::POST, "/api/v1/accounts", new).await;
    let path = format!("/api/v1/accounts/{}", made["id"].as_str().unwrap());
    let merge = json!({ "department": "Finance" });
    somebody.send(Method::PUT, &path, merge).await;
    somebody
        .get("/api/v1/accounts?department=Finance&limit=1")
        .await;
    somebody.send(Method::DELETE, &path, Value::Null).await;
    all_are_called(&simulator);
}

/// Of the simulator; what the client sends is judged in `snyk`. It has no use
/// for organizations, for the older way out of a group, or for the two lists of
/// roles, which are not said to be roles of groups.
#[actix_web::test]
async fn what_snyk_is_asked_and_answers_is_as_documented() {
    let everybody = ["ann", "ben", "cat"];
    let user = |name: &&str| Employee {
        email: email(name),
        ..Employee::default()
    };
    let team = |kind: &str, members: &[&str]| Team {
        name: "Example".into(),
        kind: kind.into(),
        members: members.iter().map(|name| email(name)).collect(),
        ..Team::default()
    };
    let company = Company {
        users: everybody.iter().map(user).collect(),
        groups: vec![
            team("group_admin", &["ann"]),
            team("group_member", &["ben"]),
        ],
    };
    let simulator = Judged::start(Application::Snyk, &company);
    let somebody = Somebody {
        media: "application/vnd.api+json",
        ..Somebody::at(format!("{}/rest", simulator.url()))
    };
    let version = "version=2025-11-05";
    let groups = somebody.get(&format!("/groups?{version}&limit=10")).await;
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    let group = id(&groups["data"][0]);
    let of = format!("/groups/{group}");
    somebody.get(&format!("{of}?{version}")).await;
    let path = format!("{of}/memberships");
    let asked = format!("{path}?{version}&limit=10&email=ben%40example.com&sort_order=ASC");
    let ben = somebody.get(&asked).await["data"][0].clone();
    let role = id(&ben["relationships"]["role"]["data"]);
    let sso = somebody
        .get(&format!("{of}/sso_connections?{version}"))
        .await;
    let users = format!("{of}/sso_connections/{}/users", id(&sso["data"][0]));
    let found = somebody.get(&format!("{users}?{version}")).await;
    let known = |user: &&Value| user["attributes"]["email"] == "cat@example.com";
    let cat = id(found["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(known)
        .unwrap());
    let data = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let create = json!({ "data": { "type": "group_membership", "relationships": {
        "group": data("group", &group),
        "user": data("user", &cat),
        "role": data("group_role", &role),
    }}});
    let to = format!("{path}?{version}");
    let (status, made) = somebody.send(Method::POST, &to, create.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(somebody.send(Method::POST, &to, create).await.0, 409);
    let one = format!("{path}/{}", id(&made["data"]));
    let update = json!({ "data": {
        "type": "group_membership",
        "id": id(&made["data"]),
        "relationships": { "role": data("group_role", &role) },
    }});
    let (status, said) = somebody
        .send(Method::PATCH, &format!("{one}?{version}"), update)
        .await;
    assert_eq!(status, 204, "{said}");
    let of_user = format!("{version}&user_id={cat}");
    somebody
        .get(&format!("{of}/org_memberships?{of_user}"))
        .await;
    somebody.get(&format!("/self?{version}")).await;
    let tenant = "60000000-0000-4000-8000-000000000002";
    somebody
        .get(&format!("/tenants/{tenant}/roles?{version}&custom=false"))
        .await;
    let older = Somebody::at(format!("{}/v1", simulator.url()));
    older.get(&format!("/group/{group}/roles")).await;
    let last = format!("{one}?{version}&cascade=true");
    assert_eq!(
        somebody.send(Method::DELETE, &last, Value::Null).await.0,
        204
    );
    let ben = id(&ben["relationships"]["user"]["data"]);
    let older_way = format!("{of}/users/{ben}?{version}");
    let no_more = json!({ "data": {
        "type": "user", "id": ben, "attributes": { "membership": null },
    }});
    let (status, said) = somebody.send(Method::PATCH, &older_way, no_more).await;
    assert_eq!(status, 204, "{said}");
    let out = format!("{users}/{cat}?{version}");
    assert_eq!(
        somebody.send(Method::DELETE, &out, Value::Null).await.0,
        204
    );
    all_are_called(&simulator);
}

/// The simulated Snyk is as strict as its document, and takes all that it allows.
#[actix_web::test]
async fn what_snyk_does_not_document_is_refused() {
    let user = |name: &str| Employee {
        email: email(name),
        ..Employee::default()
    };
    let company = Company {
        users: ["ann", "ben"].map(user).to_vec(),
        groups: vec![Team {
            name: "Example".into(),
            kind: "group_admin".into(),
            members: vec![email("ann")],
            ..Team::default()
        }],
    };
    let simulator = Judged::start(Application::Snyk, &company);
    let somebody = Somebody {
        media: "application/vnd.api+json",
        ..Somebody::at(format!("{}/rest", simulator.url()))
    };
    let group = "10000000-0000-4000-8000-000000000001";
    let of = format!("/groups/{group}/memberships");
    let one = format!("{of}/40000000-0000-4000-8000-000000000001");
    let data = |kind: &str, id: &str| json!({ "data": { "type": kind, "id": id } });
    let role = data("group_role", "30000000-0000-4000-8000-000000000002");
    let update = json!({ "data": {
        "type": "group_membership",
        "id": "40000000-0000-4000-8000-000000000001",
        "relationships": { "role": role },
    }});
    let create = json!({ "data": { "type": "group_membership", "relationships": {
        "group": data("group", group),
        "user": data("user", "20000000-0000-4000-8000-000000000002"),
        "role": role,
    }}});
    let with = |body: &Value, at: &str, value: Value| {
        let mut body = body.clone();
        let (parent, key) = at.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        body
    };
    let version = "version=2025-11-05";
    let flag = "include_group_membership_count";
    let get = |query: &str| (Method::GET, format!("{of}?{query}"), Value::Null);
    let patch = |body: Value| (Method::PATCH, format!("{one}?{version}"), body);
    let post = |body: Value| (Method::POST, format!("{of}?{version}"), body);
    let wrong_version = |version: &str| get(&format!("version={version}"));
    let refused = [
        get(""),
        wrong_version("~foo"),
        wrong_version("2025-11-05~foo"),
        wrong_version("2025-11-05~"),
        wrong_version("2025-11-5"),
        wrong_version("2025-11-45"),
        get(&format!("{version}&sort_by=email&sort_order=UP")),
        get(&format!("{version}&sort_by=name")),
        get(&format!("{version}&{flag}=banana")),
        get(&format!("{version}&limit=15")),
        get(&format!("{version}&limit=110")),
        (
            Method::DELETE,
            format!("{one}?{version}&cascade=1"),
            Value::Null,
        ),
        (Method::GET, format!("/groups/g-1?{version}"), Value::Null),
        patch(with(&update, "/data/type", Value::Null)),
        patch(with(&update, "/data/type", "membership".into())),
        patch(with(&update, "/data/id", group.into())),
        patch(with(
            &update,
            "/data/relationships/user",
            data("user", group),
        )),
        patch(with(
            &update,
            "/data/relationships/role/data/type",
            "role".into(),
        )),
        post(with(&create, "/data/id", group.into())),
        post(with(&create, "/data/type", "user".into())),
        post(with(&create, "/data/relationships/org", data("org", group))),
        post(with(
            &create,
            "/data/relationships/user/data/id",
            "ben".into(),
        )),
    ];
    for (method, path, body) in refused {
        let (status, said) = somebody.send(method, &path, body.clone()).await;
        assert_eq!(status, 400, "{path} {body}: {said}");
    }
    simulator.overlook_strange_calls();
    for version in ["beta", "wip", "2025-11-05~experimental", "2025-02-31"] {
        let (status, said) = somebody
            .send(
                Method::GET,
                &format!("{of}?version={version}&{flag}=false"),
                Value::Null,
            )
            .await;
        assert_eq!(status, 200, "{version}: {said}");
    }
    for (method, path, body) in [patch(update.clone()), post(create.clone())] {
        let (status, said) = somebody.send(method, &path, body).await;
        assert!((200..300).contains(&status), "{path}: {said}");
    }
}

#[actix_web::test]
async fn the_minute_of_a_key_is_its_own() {
    let simulator = Simulator::start(
        Application::Snyk,
        anywhere(),
        "key-1 key-2",
        &Company::default(),
    );
    let simulator = simulator.unwrap();
    simulator.faults(Faults {
        minute: Some(crate::simulator::Minute {
            calls: 2,
            length_ms: 60_000,
            silence: true,
        }),
        ..Faults::default()
    });
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    let http = http.build().unwrap();
    let url = format!("{}/rest/groups?version=2025-11-05", simulator.url());
    let mut told = Vec::new();
    for key in [
        "key-1", "key-1", "key-1", "key-2", "key-2", "key-2", "key-1",
    ] {
        let answer = http.get(&url).bearer_auth(key).send().await.unwrap();
        told.push(answer.status().as_u16());
    }
    assert_eq!(told, [200, 200, 429, 200, 200, 429, 429]);
}
