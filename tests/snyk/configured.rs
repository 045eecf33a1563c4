//! Roles that are taken out of the configuration: nobody is given them any more,
//! and whoever is asked for in one that is left has that. Nobody loses what was
//! asked for.

use super::*;

/// So that what could land late, or be shown late, has settled soon.
const SOON: &str = "read_lag = \"1s\"\nlate_writes = \"1s\"";

fn offered(roles: &[&str]) -> String {
    let group = format!("10000000-0000-4000-8000-{:012x}", 1);
    let one = |role: &&str| format!("{{ group = \"{group}\", role = \"{role}\" }}");
    let all: Vec<String> = roles.iter().map(one).collect();
    format!("groups = [{}]", all.join(", "))
}

async fn example(world: &World, name: &str) -> BTreeSet<String> {
    let mut all = roles(world, name).await;
    all.retain(|role| role.starts_with("Example/"));
    all
}

/// Somebody is asked for in both roles, Ben in the first alone, which goes.
async fn the_first_role_goes(lags: &str, name: &str) {
    let (before, left) = (offered(&[VIEWER, MEMBER]), offered(&[MEMBER]));
    let mut world = snyk_with(lags, &format!("{LINK}\n{before}")).await;
    let (ann, ben) = (
        id_of_user(&world, name).await,
        id_of_user(&world, "ben").await,
    );
    let (viewers, members) = (role(&world, VIEWER).await, role(&world, MEMBER).await);
    for path in [&viewers, &members] {
        add(&world, path, &ann).await.expect(204);
    }
    add(&world, &viewers, &ben).await.expect(204);
    assert_eq!(example(&world, name).await, just(VIEWER));

    world.reconfigure(|text| text.replace(&before, &left));
    world.forget_calls().await;
    world.import();
    eventually("what is left is there", async || {
        example(&world, name).await == just(MEMBER)
    })
    .await;
    let again = add(&world, &viewers, &ben).await;
    again.expect(204);
    let status = world.status().await;
    assert_eq!(status["connections"][0]["refusedMemberships"], json!([]));
    let refused = add(&world, &viewers, &id_of_user(&world, "cat").await).await;
    reason(refused, 400, "not among the groups");
    let mut calls = world.calls().await;
    // Who is not known to be in is added first, which Snyk answers with 409.
    calls.retain(|call| call["status"] != 409);
    assert_eq!(writes(&calls), ["update_membership"], "{calls:?}");

    assert_eq!(roles(&world, "ben").await, just(VIEWER));
    remove(&world, &viewers, &ben).await.expect(204);
    assert!(roles(&world, "ben").await.is_empty());
    remove(&world, &members, &ann).await.expect(204);
    assert!(example(&world, name).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_had_a_role_that_is_configured_no_more_gets_the_one_that_is_left() {
    the_first_role_goes("", "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_does_who_was_found_in_it_and_everything_settles_soon() {
    the_first_role_goes(SOON, "mel").await;
}

impl World {
    /// From the next start on other roles are offered, and what Snyk has is read.
    async fn offer(&mut self, before: &str, now: &str) {
        self.reconfigure(|text| text.replace(before, now));
        self.forget_calls().await;
        self.import();
    }

    async fn sent(&self) -> Vec<String> {
        let mut calls = self.calls().await;
        calls.retain(|call| call["status"] != 409);
        writes(&calls).into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_offered_again_is_given_back_to_whoever_is_asked_for_in_it() {
    let (both, one) = (offered(&[VIEWER, MEMBER]), offered(&[MEMBER]));
    let mut world = snyk_with(SOON, &format!("{LINK}\n{both}")).await;
    let (ann, ben) = (
        id_of_user(&world, "ann").await,
        id_of_user(&world, "ben").await,
    );
    let (viewers, members) = (role(&world, VIEWER).await, role(&world, MEMBER).await);
    for path in [&viewers, &members] {
        add(&world, path, &ann).await.expect(204);
    }
    add(&world, &viewers, &ben).await.expect(204);
    let ann_has = async |world: &World, role: Option<&str>| {
        eventually(&format!("ann has {role:?}"), async || {
            example(world, "ann").await == role.map(just).unwrap_or_default()
        })
        .await;
    };
    world.offer(&both, &one).await;
    ann_has(&world, Some(MEMBER)).await;
    world.offer(&one, &both).await;
    ann_has(&world, Some(VIEWER)).await;
    assert_eq!(world.sent().await, ["update_membership"], "Ben has it");

    world.offer(&both, &one).await;
    ann_has(&world, Some(MEMBER)).await;
    remove(&world, &members, &ann).await.expect(204);
    ann_has(&world, None).await;
    world.offer(&one, &both).await;
    ann_has(&world, Some(VIEWER)).await;
    assert_eq!(world.sent().await, ["create_membership"]);
    assert_eq!(example(&world, "ben").await, just(VIEWER));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_open_when_its_role_was_left_out_is_given_when_that_is_offered_again() {
    let (both, one) = (offered(&[VIEWER, MEMBER]), offered(&[MEMBER]));
    let mut world = snyk_with(SOON, &format!("{LINK}\n{both}")).await;
    let cat = id_of_user(&world, "cat").await;
    let viewers = role(&world, VIEWER).await;
    let before = example(&world, "cat").await;
    let fails = |it| json!({ "operation": it, "failure": { "status": { "status": 500 } } });
    let rules = ["create_membership", "update_membership"].map(fails);
    world.faults(json!({ "rules": rules })).await;
    add(&world, &viewers, &cat).await.expect(204);
    world.offer(&both, &one).await;
    world.faults(json!({})).await;
    let of = async || world.status().await["connections"][0].clone();
    let nothing = json!({ "users": 0, "groups": 0, "memberships": 0 });
    eventually("everything settles", async || {
        of().await["pending"] == nothing
    })
    .await;
    assert_eq!(example(&world, "cat").await, before);
    // That it cannot be given is told, and what is shown is what is asked for.
    let group = viewers.trim_start_matches("/Groups/");
    assert!(world.members(group).await.contains(&cat));
    let told = of().await["notOffered"][0].clone();
    assert_eq!(
        (&told["group"], &told["memberships"]),
        (&json!(group), &json!(1))
    );
    for command in ["status", "reconcile"] {
        let (said, _, well) = world.run(&[command]);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = "left out of the configuration";
        assert!(well && said.contains(words), "{said}");
        assert!(!said.contains("not there any more"), "{said}");
    }
    world.offer(&one, &both).await;
    eventually("cat has it", async || {
        example(&world, "cat").await == just(VIEWER)
    })
    .await;
    assert_eq!(
        world.status().await["connections"][0]["notOffered"],
        json!([])
    );
}

/// As if the role that the bridge knows had been deleted in Snyk while it did not run,
/// and made anew with its name and another id.
fn make_anew(world: &World, meanwhile: &str) {
    let before_it = |table: &str, column: &str| {
        let other = format!("substr({column}, 1, 36) || '/an-id-before'");
        world.tamper(&format!("UPDATE {table} SET {column} = {other}"));
    };
    before_it("groups", "upstream_name");
    world.tamper(meanwhile);
    before_it("holdings", "name");
}

/// An import has found the new one, and the identity provider has taken it for its own.
const KNOWN: &str = "INSERT INTO groups (connection, id, version, seq, created, modified, ours,
        made, existence, whole, members, unmanaged, strangers, upstream_name, display_key,
        external_id, attributes, family, rank)
    SELECT connection, randomblob(16), 1, 1, created, modified, 0, 1, 1, 0, 0, 0, 0,
        (SELECT name FROM holdings), 'new', 'x',
        json_set(attributes, '$.displayName', 'New', '$.externalId', 'x'), family, rank
    FROM groups";

/// Ann is asked for among the viewers, Vic was found there, and their role was made anew.
async fn made_anew(own: &str, meanwhile: &str) -> (World, String, [String; 2]) {
    let own = format!("{own}\n{SOON}");
    let mut world = snyk_with(&own, &format!("{LINK}\n{}", offered(&[VIEWER]))).await;
    let (ann, vic) = (
        id_of_user(&world, "ann").await,
        id_of_user(&world, "vic").await,
    );
    let viewers = role(&world, VIEWER).await;
    add(&world, &viewers, &ann).await.expect(204);
    world.stop_bridge();
    make_anew(&world, meanwhile);
    (world, viewers, [ann, vic])
}

async fn replaced(world: &World) -> Value {
    let status = world.status().await;
    status["connections"][0]["replaced"].clone()
}

/// Its Group works as before, and is the only one.
async fn goes_on(world: &World, viewers: &str, [ann, vic]: &[String; 2]) {
    let ben = id_of_user(world, "ben").await;
    add(world, viewers, &ben).await.expect(204);
    assert_eq!(example(world, "ben").await, just(VIEWER));
    for (name, user) in [("ann", ann), ("vic", vic)] {
        remove(world, viewers, user).await.expect(204);
        eventually("it is gone", async || example(world, name).await.is_empty()).await;
    }
    assert_eq!(role(world, VIEWER).await, viewers);
    assert_eq!(replaced(world).await, json!([]));
    let (audit, _, _) = world.run(&["audit", "export"]);
    assert_eq!(audit.matches("group_made_anew").count(), 1, "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_group_of_a_role_that_was_made_anew_goes_on_as_the_new_one() {
    let (mut world, viewers, who) = made_anew("import = \"start\"", "").await;
    world.start_bridge();
    eventually("it is moved", async || {
        let (audit, _, _) = world.run(&["audit", "export"]);
        audit.contains("group_made_anew")
    })
    .await;
    goes_on(&world, &viewers, &who).await;
}

/// Nothing is imported, and who is taken out shows it.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_finds_a_role_made_anew_has_its_group_go_on_and_is_done() {
    let (mut world, viewers, who) = made_anew("", "").await;
    world.start_bridge();
    remove(&world, &viewers, &who[1]).await.expect(204);
    eventually("Vic is out", async || {
        example(&world, "vic").await.is_empty()
    })
    .await;
    assert_eq!(example(&world, "ann").await, just(VIEWER));
    goes_on(&world, &viewers, &who).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_it_leaves_one_or_the_other() {
    let (mut world, viewers, who) = made_anew("import = \"start\"", "").await;
    let listened = world.kill_and_restart_until("group.went-on:1");
    let end = Instant::now() + Duration::from_secs(20);
    while listened && world.bridge_ended().is_none() {
        assert!(Instant::now() < end, "it never came to it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.start_bridge();
    eventually("it is moved", async || {
        let (audit, _, _) = world.run(&["audit", "export"]);
        audit.contains("group_made_anew")
    })
    .await;
    goes_on(&world, &viewers, &who).await;
}

/// Where somebody was asked for in the Group of the new one before.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_a_role_that_was_made_anew_by_the_group_of_the_one_before() {
    let (mut world, before, [ann, vic]) = made_anew("import = \"start\"", KNOWN).await;
    world.start_bridge();
    let group = before.trim_start_matches("/Groups/");
    eventually("it is told", async || {
        let told = replaced(&world).await;
        told[0]["group"] == group && told[0]["memberships"] == 1
    })
    .await;
    let (said, _, well) = world.run(&["status"]);
    assert!(!well && said.contains("another Group stands"), "{said}");
    let (said, wrong, well) = world.run(&["check"]);
    let said = format!("{said}{wrong}");
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!well && words.contains("another Group stands"), "{said}");
    // Who was asked for there, and who was only found.
    for user in [&ann, &vic] {
        let kept = remove(&world, &before, user).await;
        let why = "the one before (of the one that is there now something was asked for here";
        reason(kept, 400, why);
        assert!(world.members(group).await.contains(user));
    }
    assert_eq!(example(&world, "ann").await, just(VIEWER));
    // The remedy.
    let groups = world.get("/Groups").await.expect(200).body;
    let mut groups = groups["Resources"].as_array().unwrap().iter();
    let now = groups.find(|it| it["id"] != group).unwrap();
    let now = format!("/Groups/{}", now["id"].as_str().unwrap());
    for user in [&ann, &vic] {
        add(&world, &now, user).await.expect(204);
        remove(&world, &before, user).await.expect(204);
    }
    assert_eq!(example(&world, "ann").await, just(VIEWER));
    assert_eq!(replaced(&world).await, json!([]));
    remove(&world, &now, &ann).await.expect(204);
    assert!(example(&world, "ann").await.is_empty());
}
