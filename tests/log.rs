//! The log goes where nobody reads it or where nothing fits any more, and the
//! secret files are changed under the running bridge: requests do not notice
//! (reliability: F-32, F-33).

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{World, address};

/// A bridge that talks a lot to what `put` puts in the place of its log.
async fn talking_to<T>(put: impl Fn(&PathBuf) -> T) -> (World, T) {
    let mut world = World::start().await;
    world.stop_bridge();
    let log = world.store().with_file_name("serve.log");
    std::fs::remove_file(&log).unwrap();
    let kept = put(&log);
    let level = std::path::Path::new("trace");
    world.start_bridge_with(&[("DRAWBRIDGE_LOG", level)]);
    (world, kept)
}

/// Enough that a pipe is full many times over.
async fn is_served(world: &mut World) {
    let began = Instant::now();
    let users = world.users("u", 300).await;
    let id = world.group("Developers", &users[..2]).await;
    assert_eq!(world.members(&id).await.len(), 2);
    let both = [address("u0"), address("u1")].into();
    world.until_upstream_has("developers", &both).await;
    assert!(world.is_ready().await);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    tokio::task::block_in_place(|| world.stops_in_time());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_nobody_up() {
    // Open at both ends for as long as the test runs, and never read.
    let pipe = |log: &PathBuf| {
        let made = Command::new("mkfifo").arg(log).status();
        assert!(made.expect("mkfifo").success());
        let both = std::fs::OpenOptions::new().read(true).write(true).open(log);
        both.expect("a pipe")
    };
    let (mut world, _pipe) = talking_to(pipe).await;
    is_served(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_full_disk_holds_nobody_up() {
    let full = |log: &PathBuf| std::os::unix::fs::symlink("/dev/full", log).unwrap();
    let (mut world, ()) = talking_to(full).await;
    is_served(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_files_that_are_lost_or_half_there_are_those_read_before() {
    let world = World::start().await;
    let users = world.users("u", 4).await;
    let id = world.group("Developers", &[]).await;
    let path = format!("/Groups/{id}");
    let folder = world.store().parent().unwrap().to_owned();
    for (number, name) in ["acme.tokens", "opsera.token"].iter().enumerate() {
        let file = folder.join(name);
        let whole = std::fs::read(&file).unwrap();
        for (part, user) in users[2 * number..][..2].iter().enumerate() {
            // Emptied by a writer that has not come further yet, then gone.
            match part {
                0 => std::fs::write(&file, "").unwrap(),
                _ => std::fs::remove_file(&file).unwrap(),
            }
            // Longer than a change of the file may go unnoticed.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
            let reply = world.patch(&path, add).await.expect(204);
            assert!(!reply.headers.contains_key("drawbridge-pending"), "{name}");
        }
        crate::support::write_private(&file, &String::from_utf8(whole).unwrap());
    }
    let all = (0..4).map(|n| address(&format!("u{n}"))).collect();
    world.until_upstream_has("developers", &all).await;
}
