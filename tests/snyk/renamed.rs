//! Who leaves with another address than that of the account, or is given one after
//! that: an account that has it by then is theirs too.

use super::{
    addresses::{told, with_more},
    *,
};

/// Mel, who left under another address, which an account has that a sign-in made.
async fn left_as(world: &World, name: &str, emails: &str, at_once: bool) -> (String, String) {
    let mel = id_of_user(world, "mel").await;
    let (mut company, mut accounts) = with_more(name, 1);
    let teams = company["groups"].as_array_mut().unwrap();
    let members = teams[2]["members"].as_array_mut().unwrap();
    members.push(address(name).into());
    world.seed(company).await;
    if !at_once {
        activate(world, &mel, false).await.expect(200);
    }
    let mut leaving = user(name);
    leaving["emails"] = json!([{ "value": address(emails), "primary": true }]);
    leaving["active"] = json!(false);
    world
        .put(&format!("/Users/{mel}"), leaving)
        .await
        .expect(200);
    assert!(roles(world, "mel").await.is_empty());
    assert_eq!(roles(world, name).await, just(MEMBER));
    (mel, accounts.remove(0))
}

#[tokio::test]
async fn an_account_with_the_address_that_a_leaver_has_by_now_is_told_and_out_with_the_next_import()
{
    for at_once in [true, false] {
        let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
        let (mel, account) = left_as(&world, "married", "married", at_once).await;
        world.run(&["pause"]);
        world.import();
        let left = json!([{ "user": mel, "ended": true, "accounts": [account] }]);
        assert_eq!(told(&world).await, left);
        let (said, _, well) = world.run(&["status"]);
        let said: Vec<&str> = said.split_whitespace().collect();
        assert!(
            !well && said.join(" ").contains("must have nothing"),
            "{said:?}"
        );
        world.kill_and_restart();
        assert_eq!(told(&world).await, left);
        world.run(&["resume"]);
        eventually("it is out", async || {
            roles(&world, "married").await.is_empty() && told(&world).await == json!([])
        })
        .await;
        let shown = world.get(&format!("/Users/{mel}")).await.expect(200).body;
        assert_eq!(shown["active"], false);
    }
}

#[tokio::test]
async fn an_address_that_another_user_has_is_theirs_whatever_is_said_of_a_leaver() {
    let mut world = snyk_with("read_lag = \"1s\"", LINK).await;
    let before = roles(&world, "vic").await;
    // Nor does a name that is an address count beside an e-mail.
    left_as(&world, "left", "vic", true).await;
    world.import();
    assert_eq!(told(&world).await, json!([]));
    assert_eq!(roles(&world, "vic").await, before);
    assert_eq!(roles(&world, "left").await, just(MEMBER));
}
