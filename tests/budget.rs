//! One connection's share of the bridge: what is beyond it is told to come
//! again, what takes access away is not, and nobody else notices.

use std::time::{Duration, Instant};

use crate::support::World;

/// As many requests as that at once; how many got each status.
async fn burst(world: &World, method: &str, path: &str, count: usize) -> [usize; 2] {
    let send = || world.send(method, path, None);
    let answers = futures_util::future::join_all((0..count).map(|_| send())).await;
    let mut told = [0, 0];
    for answer in answers {
        let refused = answer.status == 429;
        told[usize::from(refused)] += 1;
        if refused {
            let wait = answer.headers.get("retry-after").expect("Retry-After");
            let wait: u64 = wait.to_str().expect("text").parse().expect("whole seconds");
            assert!((1..=2).contains(&wait), "{wait}");
            assert_eq!(answer.body["status"], "429");
        }
    }
    told
}

#[tokio::test]
async fn beyond_the_budget_is_429_and_revocations_have_as_much_again() {
    let world = World::with("request_budget = 25", &["--empty"]).await;
    let id = world.user("spent").await;
    let [_, refused] = burst(&world, "GET", "/Users?count=0", 120).await;
    assert!(refused > 40, "{refused} of 120");
    // The budget is spent: a deletion passes all the same.
    let gone = world.send("DELETE", &format!("/Users/{id}"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    // And comes to an end too.
    let [_, refused] = burst(&world, "DELETE", "/Users/nobody", 120).await;
    assert!(refused > 20, "{refused} of 120");
    let end = Instant::now() + Duration::from_secs(10);
    while world.get("/Users?count=0").await.status == 429 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn what_one_connection_sends_too_much_is_not_refused_to_another() {
    let (mut world, mut other) = World::pair_with("request_budget = 25").await;
    let [_, refused] = burst(&world, "GET", "/Users?count=0", 120).await;
    assert!(refused > 40, "{refused} of 120");
    world.turn_to(&mut other);
    let told = burst(&world, "GET", "/Users?count=0", 120).await;
    assert_eq!(told, [120, 0]);
}

#[tokio::test]
async fn a_budget_below_what_entra_demands_is_a_mistake_in_the_configuration() {
    let world = World::start().await;
    world.reconfigure(|text| text.replace("request_budget = 1000000", "request_budget = 24"));
    let (_, said, ok) = world.run(&["check"]);
    assert!(
        !ok && said.contains("request_budget") && said.contains("25"),
        "{said}"
    );
}
