//! Bodies: what is read is what any other reader of JSON reads, and what is
//! refused is no JSON, or says a key twice, or is nested too deep. A resource
//! that was read is read again as the same.

use serde_json::Value;

use super::{
    refused,
    scim::{
        dropped::Taken,
        json,
        resource::{group_from_json, user_from_json},
    },
    world::{LIMITS, SCHEMAS},
};

pub fn run(input: &[u8]) {
    let other = serde_json::from_slice::<Value>(input);
    match (json::parse(input, &LIMITS[0]), other) {
        (Ok(ours), Ok(other)) => assert_eq!(ours, other),
        (Ok(ours), Err(error)) => panic!("read as {ours}, but {error}"),
        (Err(problem), Ok(_)) => {
            let meant = ["given twice", "nested deeper"];
            assert!(
                meant.iter().any(|words| problem.detail.contains(words)),
                "{problem}"
            );
            refused(&problem);
        }
        (Err(problem), Err(_)) => refused(&problem),
    }
    for limits in &*LIMITS {
        match user_from_json(input, &SCHEMAS, limits) {
            Ok(read) => {
                let text = serde_json::to_vec(&read.taken).unwrap();
                let again = user_from_json(&text, &SCHEMAS, limits);
                assert_eq!(again.map(whole), Ok(read.taken));
            }
            Err(problem) => refused(&problem),
        }
        match group_from_json(input, &SCHEMAS, limits) {
            Ok(read) => {
                let text = serde_json::to_vec(&read.taken.attributes).unwrap();
                let again = group_from_json(&text, &SCHEMAS, limits);
                let again = again.map(|read| whole(read).attributes);
                assert_eq!(again, Ok(read.taken.attributes));
            }
            Err(problem) => refused(&problem),
        }
    }
}

/// What was taken, of which nothing may have been left out.
fn whole<T>(read: Taken<T>) -> T {
    assert_eq!(read.dropped.count(), 0, "what was kept is dropped");
    read.taken
}
