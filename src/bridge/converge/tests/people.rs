//! Of whom it is kept what they were told.
use super::*;
use futures_util::FutureExt;

#[tokio::test]
async fn nobody_is_forgotten_before_there_are_many_nor_while_somebody_needs_it() {
    let people = People::new(false);
    let in_use = people.alone("in use").await;
    people.alone("told lately").await.unclear();
    for n in 0..1_022 {
        drop(people.alone(&n.to_string()).await);
    }
    assert_eq!(people.remembered(), 1_024);
    drop(people.alone("one more").await);
    assert_eq!(people.remembered(), 3);
    assert!(people.alone("in use").now_or_never().is_none(), "one waits");
    drop(in_use);
    assert!(people.alone("in use").now_or_never().is_some());
    let told = people.alone("told lately").await;
    assert!(told.gave_lately().is_some());
}
