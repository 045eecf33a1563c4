//! Two connections of one bridge at one tenant: each group and account there is
//! managed by the one that changed it first (reliability: H-18, I-26).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Application, Tenant, World, address, eventually, group, user, values};

mod ended;
mod left_out;
mod let_go;
mod raised;
pub(crate) mod roles;
mod told;

#[tokio::test]
async fn what_one_connection_manages_is_refused_to_the_other_until_it_lets_go() {
    let (mut world, mut other) = World::pair().await;
    let a = world.user("a").await;
    let team = world.group("team", std::slice::from_ref(&a)).await;
    world.turn_to(&mut other);
    let b = world.user("b").await;
    let (refused, calls) = world
        .calls_of(async {
            let group = world
                .post("/Groups", group("team", std::slice::from_ref(&b)))
                .await;
            let user = world.post("/Users", user("a")).await;
            [group.expect(403), user.expect(403)]
        })
        .await;
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    for answer in refused {
        let said = answer.body.to_string();
        assert!(said.contains("managed elsewhere in this bridge"), "{said}");
        assert!(!said.contains("acme") && !said.contains(&a), "{said}");
    }
    // What is its own is not touched by that.
    world.group("theirs", std::slice::from_ref(&b)).await;
    let (ok, said) = world.command(&["check"]);
    assert!(
        ok && said.contains("leads to the same application"),
        "{said}"
    );

    world.turn_to(&mut other);
    let more = json!([{ "op": "replace", "path": "members", "value": values(&[a]) }]);
    let path = format!("/Groups/{team}");
    world.patch(&path, more).await.expect(204);
    let taken = world.post("/Groups", group("theirs", &[])).await;
    assert_eq!(taken.status.as_u16(), 403, "{taken:?}");
    world.send("DELETE", &path, None).await.expect(204);
    world.turn_to(&mut other);
    world.group("team", &[b]).await;
}

const TENANT: &str = "tenant = \"production\"";

async fn found(world: &World, filter: &str) -> String {
    let list = world.get(filter).await.expect(200).body;
    assert_eq!(list["totalResults"], 1, "{list:#}");
    list["Resources"][0]["id"].as_str().unwrap().to_owned()
}

const SOON: &str = "late_writes = \"2s\"\nread_lag = \"100ms\"";

/// Two connections of one tenant with a credential each. One has made `a` and a team
/// of them; the other one, whose turn it is, has found both.
struct Pair {
    world: World,
    other: Tenant,
    a: String,
    team: String,
    /// What `a` is for the other one.
    same: String,
}

impl Pair {
    async fn of(application: Application, connection: &str) -> Self {
        Self::named(application, connection, TENANT).await
    }

    async fn named(application: Application, connection: &str, tenant: &str) -> Self {
        let (mut world, mut other) = World::pair_apart(application, connection, tenant).await;
        let a = world.user("a").await;
        let team = world.group("team", std::slice::from_ref(&a)).await;
        world.import();
        world.meet(&mut other);
        world.turn_to(&mut other);
        let filter = format!("/Users?filter=emails.value%20eq%20%22{}%22", address("a"));
        let same = found(&world, &filter).await;
        Self {
            world,
            other,
            a,
            team,
            same,
        }
    }
}

/// A deletion by one is seen by the other one at once, which makes nothing of it.
#[tokio::test]
async fn a_group_that_the_other_one_has_deleted_is_shown_no_more_and_made_again_by_nobody() {
    let pair = Pair::of(Application::Opsera, SOON).await;
    let (mut world, mut other) = (pair.world, pair.other);
    let filter = "/Groups?filter=displayName%20eq%20%22team%22";
    let theirs = format!("/Groups/{}", found(&world, filter).await);
    let b = world.user("b").await;
    world.turn_to(&mut other);
    let path = format!("/Groups/{}", pair.team);
    world.send("DELETE", &path, None).await.expect(204);
    world.turn_to(&mut other);
    let more =
        json!([{ "op": "add", "path": "members", "value": values(std::slice::from_ref(&b)) }]);
    world.patch(&theirs, more).await.expect(404);
    assert_eq!(world.get(filter).await.expect(200).body["totalResults"], 0);
    assert_eq!(world.upstream_members("team").await, None);
    // It may have one of its own.
    world.group("team", &[b]).await;
    let own = [address("b")].into();
    assert_eq!(world.upstream_members("team").await, Some(own));
}

/// Two connections with a credential each take from nobody what the other one
/// asks for, where both say that it is one tenant.
async fn is_one_application(application: Application) {
    let Pair { world, same, .. } = Pair::of(application, "").await;
    let filter = "/Groups?filter=displayName%20eq%20%22team%22";
    let team = format!("/Groups/{}", found(&world, filter).await);
    let removal = json!([{ "op": "remove", "path": "members", "value": values(std::slice::from_ref(&same)) }]);
    let path = format!("/Users/{same}");
    let ((gone, ended), calls) = world
        .calls_of(async {
            let gone = world.patch(&team, removal).await;
            (gone, world.send("DELETE", &path, None).await)
        })
        .await;
    let said = gone.expect(403).body.to_string();
    assert!(said.contains("managed elsewhere in this bridge"), "{said}");
    // An account that cannot be ended is nobody's alone.
    let ends = application != Application::DeclaredForEver;
    assert_eq!(ended.status.as_u16(), if ends { 403 } else { 204 });
    assert_eq!(calls, Vec::<serde_json::Value>::new());
    let kept = [address("a")].into();
    assert_eq!(world.upstream_members("team").await, Some(kept));
    let (ok, said) = world.command(&["check"]);
    let words = "connection acme leads to the same application";
    assert!(ok && said.contains(words), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_credentials_of_one_tenant_that_has_a_name_are_one_application() {
    is_one_application(Application::Opsera).await;
    is_one_application(Application::Declared).await;
    is_one_application(Application::DeclaredForEver).await;
}

#[tokio::test]
async fn one_credential_of_two_tenants_is_told() {
    let nobody = json!({ "users": [], "groups": [] });
    for (second, apart) in [("two", true), ("one", false)] {
        let own = ["one", second].map(|name| format!("tenant = \"{name}\""));
        let own = [own[0].as_str(), own[1].as_str()];
        let pair = World::pair_of(Application::Opsera, "", own, nobody.clone());
        let (world, _) = pair.await;
        let (ok, said) = world.command(&["check"]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = said.contains("connection globex has the same credential, and another name");
        assert_eq!((told, ok), (apart, !apart), "{said}");
    }
}

/// An account that one connection ended and made anew has what the other one asks
/// for on it, too.
async fn both_are_given_back(application: Application) {
    let pair = Pair::of(application, SOON).await;
    let (mut world, mut other) = (pair.world, pair.other);
    let (mut a, team, same) = (pair.a, pair.team, pair.same);
    let b = world.user("b").await;
    world.group("mine", &[same, b]).await;
    world.turn_to(&mut other);
    for deleted in [false, true] {
        let path = format!("/Users/{a}");
        if deleted {
            world.send("DELETE", &path, None).await.expect(204);
        } else {
            let off = json!([{ "op": "replace", "path": "active", "value": false }]);
            world.patch(&path, off).await.expect(200);
        }
        if deleted {
            a = world.user("a").await;
            let add = json!([{ "op": "add", "path": "members", "value": values(&[a.clone()]) }]);
            world
                .patch(&format!("/Groups/{team}"), add)
                .await
                .expect(204);
        } else {
            let on = json!([{ "op": "replace", "path": "active", "value": true }]);
            world.patch(&path, on).await.expect(200);
        }
        world
            .until_upstream_has("team", &[address("a")].into())
            .await;
        let both = [address("a"), address("b")].into();
        world.until_upstream_has("mine", &both).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_made_anew_has_what_every_connection_of_its_tenant_asks_for() {
    both_are_given_back(Application::Opsera).await;
    both_are_given_back(Application::Declared).await;
}

/// One connection found the account in a group of the other one, which has taken it
/// out since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_other_one_has_taken_away_since_is_not_given_back_with_an_account() {
    let pair = Pair::of(Application::Opsera, SOON).await;
    let (mut world, mut other) = (pair.world, pair.other);
    let (a, same) = (pair.a, pair.same);
    let b = world.user("b").await;
    let mine = world.group("mine", &[same.clone(), b]).await;
    world.turn_to(&mut other);
    world.import();
    world.meet(&mut other);
    world.turn_to(&mut other);
    let path = format!("members[value eq \"{same}\"]");
    let gone = json!([{ "op": "remove", "path": path }]);
    world
        .patch(&format!("/Groups/{mine}"), gone)
        .await
        .expect(204);
    let only = [address("b")].into();
    world.until_upstream_has("mine", &only).await;
    world.turn_to(&mut other);
    for active in [false, true] {
        let change = json!([{ "op": "replace", "path": "active", "value": active }]);
        world
            .patch(&format!("/Users/{a}"), change)
            .await
            .expect(200);
    }
    world
        .until_upstream_has("team", &[address("a")].into())
        .await;
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    let end = Instant::now() + Duration::from_secs(30);
    while world.status().await["connections"][0]["pending"] != nothing {
        assert!(Instant::now() < end, "{:#}", world.status().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.upstream_members("mine").await.unwrap(), only);
}

/// What the other connection has found, and what it has asked for itself, in the
/// groups that it shows after the first one has ended that.
async fn shown_after(application: Application, tenant: &str, ends: bool) -> [bool; 2] {
    let Pair {
        mut world,
        mut other,
        a,
        team,
        same,
    } = Pair::named(application, SOON, tenant).await;
    let theirs = found(&world, "/Groups?filter=displayName%20eq%20%22team%22").await;
    let mine = world.group("mine", std::slice::from_ref(&same)).await;
    let all = [same.clone()].into();
    assert_eq!(world.members(&theirs).await, all);
    world.turn_to(&mut other);
    let (path, change, status) = if ends {
        let off = json!([{ "op": "replace", "path": "active", "value": false }]);
        (format!("/Users/{a}"), off, 200)
    } else {
        let out = json!([{ "op": "remove", "path": format!("members[value eq \"{a}\"]") }]);
        (format!("/Groups/{team}"), out, 204)
    };
    world.patch(&path, change).await.expect(status);
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("it is written down", async || {
        world.status().await["connections"][0]["pending"] == nothing
    })
    .await;
    world.turn_to(&mut other);
    let shown = [theirs, mine].map(|group| {
        let world = &world;
        async move { world.members(&group).await }
    });
    let [theirs, mine] = shown;
    [theirs.await == all, mine.await == all]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_connection_takes_away_the_others_of_its_tenant_show_no_more() {
    let (opsera, for_ever) = (Application::Opsera, Application::DeclaredForEver);
    assert_eq!(shown_after(opsera, TENANT, false).await, [false, true]);
    assert_eq!(shown_after(opsera, TENANT, true).await, [false, true]);
    assert_eq!(shown_after(for_ever, TENANT, false).await, [false, true]);
    assert_eq!(shown_after(for_ever, TENANT, true).await, [false, true]);
    // Of another tenant nothing is known.
    assert_eq!(shown_after(opsera, "", false).await, [true, true]);
    assert_eq!(shown_after(opsera, "", true).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_without_a_name_or_with_different_ones_are_not_taken_for_one() {
    let (mut world, mut other) = World::pair_apart(Application::Opsera, "", "").await;
    let a = world.user("a").await;
    world.group("team", std::slice::from_ref(&a)).await;
    world.turn_to(&mut other);
    let found = world.post("/Groups", group("team", &[])).await;
    // That it is there the application says, and not the bridge.
    let said = found.expect(409).body.to_string();
    assert!(!said.contains("elsewhere"), "{said}");
    let (_, said) = world.command(&["check"]);
    assert!(!said.contains("leads to the same"), "{said}");
}
