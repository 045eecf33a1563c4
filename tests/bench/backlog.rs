//! The row about pacing: the application allows so many calls a second, the
//! bridge knows it and always has one more to make. How much of it is used, and
//! is any call one too many (reliability: I-21)?

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{
    bench::Bench,
    bodies,
    load::Until,
    table::{Row, number},
};

/// Calls a second.
const LIMIT: u32 = 100;
/// More groups than calls a second, each of which waits for one.
const GROUPS: usize = 300;
const CLIENTS: usize = 32;
/// Left out at the beginning, until there is a backlog.
const FIRST: u64 = 2_000;

pub(super) async fn paced(bench: &mut Bench) -> Result<(), String> {
    let name = format!("backlog, {LIMIT} calls/s allowed");
    if !bench.wants(&name) {
        return Ok(());
    }
    let user: Arc<[String]> = bench.world.users(1).await?.into();
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let group = bench.world.group(&format!("paced{number}"), &[]).await?;
        groups.push(format!("/Groups/{group}"));
    }
    bench.world.know_limit(Some(LIMIT))?;
    bench.world.restart().await?;
    let limit = json!({ "latency_ms": 10, "rate_limit": { "per_second": LIMIT } });
    bench.world.faults(&limit).await?;
    bench.world.forget_calls().await?;

    let caller = bench.world.caller.clone();
    let traffic = move |number: u64, out: &mut Vec<u8>| {
        let number = usize::try_from(number).unwrap_or_default();
        let body = if (number / groups.len()).is_multiple_of(2) {
            bodies::add(&user)
        } else {
            bodies::remove(&user)
        };
        caller.write(out, "PATCH", &groups[number % groups.len()], &body);
    };
    let until = Until::time(bench.sizes.round * 6 + Duration::from_millis(FIRST));
    bench.load(CLIENTS, until, Arc::new(traffic)).await?;
    let calls = bench.world.calls().await?;
    bench.world.know_limit(None)?;
    bench.world.latency(0).await?;
    bench.world.restart().await?;

    let (share, refused) = used(&calls, until.time)?;
    bench.push(
        Row::new(name)
            .goal(
                format!("{:.1} % of what is allowed was sent", share * 100.0),
                ">= 95 %",
                share >= 0.95,
            )
            .goal(
                format!("{refused} of {} calls were one too many", calls.len()),
                "0",
                refused == 0,
            ),
    );
    Ok(())
}

/// The share of the limit that was used once there was a backlog, and the
/// calls that were beyond it.
fn used(calls: &[Value], time: Duration) -> Result<(f64, usize), String> {
    let at = |call: &Value| call["started_ms"].as_u64();
    let from = calls.first().and_then(at).ok_or("no call was made")? + FIRST;
    let span = u64::try_from(time.as_millis()).unwrap_or_default() - FIRST;
    let within = |call: &&Value| at(call).is_some_and(|at| (from..from + span).contains(&at));
    let sent = calls.iter().filter(within).count();
    let allowed = f64::from(LIMIT) * Duration::from_millis(span).as_secs_f64();
    let refused = calls.iter().filter(|call| call["outcome"] == "over_limit");
    Ok((number(sent) / allowed, refused.count()))
}
