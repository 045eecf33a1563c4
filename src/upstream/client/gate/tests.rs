//! What a 401 and a 403 stop, and how soon what is not forbidden goes.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;

fn about(method: &'static Method, one: u64) -> About<'static> {
    About {
        method,
        template: "/members",
        one,
    }
}

fn add(one: u64) -> About<'static> {
    about(&Method::POST, one)
}

fn remove(one: u64) -> About<'static> {
    about(&Method::DELETE, one)
}

/// Lets time go by for everything that was tried.
fn later(gate: &Gate, time: Duration) {
    let mut closed = gate.lock();
    let Closed { whole, kinds } = &mut *closed;
    for it in whole
        .iter_mut()
        .chain(kinds.values_mut().map(|it| &mut it.refused))
    {
        it.tried -= time;
    }
    for kind in kinds.values_mut() {
        kind.ones.iter_mut().for_each(|it| it.tried -= time);
        kind.queue.values_mut().for_each(|turn| *turn -= time);
        kind.next -= time;
    }
}

#[test]
fn a_refused_credential_waits_and_another_goes_at_once() {
    let gate = Gate::default();
    let (old, new) = (HeaderValue::from_static("a"), HeaderValue::from_static("b"));
    gate.note(remove(1), &old, 401, "expired");
    assert!(gate.pass(add(1), &old).is_err() && gate.pass(remove(1), &old).is_err());
    assert!(gate.refuses(&old) && !gate.refuses(&new));
    assert!(gate.pass(add(1), &new).is_ok() && gate.pass(remove(1), &new).is_ok());

    gate.note(add(1), &new, 401, "expired");
    later(&gate, PROBE);
    assert!(gate.pass(add(1), &new).is_ok(), "one try");
    assert!(gate.pass(add(2), &new).is_err(), "and one only");
    gate.note(add(1), &new, 200, "");
    assert!(gate.pass(add(2), &new).is_ok() && !gate.refuses(&new));
}

#[test]
fn one_thing_that_is_forbidden_keeps_nothing_else_from_being_done() {
    let gate = Gate::default();
    let ours = HeaderValue::from_static("a");
    assert!(!gate.note(remove(1), &ours, 403, "no right"));
    assert!(gate.pass(remove(1), &ours).is_err(), "it waits");
    assert!(gate.pass(remove(2), &ours).is_ok(), "another one does not");
    assert!(gate.refuses(&ours));
    gate.note(remove(2), &ours, 204, "");
    // So the right is there, and it is refused for itself.
    assert!(!gate.refuses(&ours) && gate.pass(remove(1), &ours).is_ok());
    assert!(gate.note(remove(1), &ours, 403, "no right"));
    assert!(gate.pass(remove(3), &ours).is_ok());
}

#[test]
fn several_that_are_forbidden_stop_their_kind_and_take_turns_to_try() {
    let gate = Gate::default();
    let ours = HeaderValue::from_static("a");
    for one in 1..=3 {
        assert!(gate.pass(remove(one), &ours).is_ok());
        assert!(!gate.note(remove(one), &ours, 403, "no right"));
    }
    assert!(gate.pass(add(1), &ours).is_ok(), "another kind goes on");
    assert!(gate.pass(remove(1), &ours).is_err());
    later(&gate, PROBE);
    assert!(gate.pass(remove(3), &ours).is_err(), "it was the last");
    assert!(gate.pass(remove(2), &ours).is_ok(), "one try");
    assert!(gate.pass(remove(1), &ours).is_err(), "and one only");
    assert!(gate.pass(remove(4), &ours).is_ok());
    gate.note(remove(4), &ours, 204, "");
    assert!(gate.pass(remove(5), &ours).is_ok());
    for one in 1..=3 {
        assert!(gate.note(remove(one), &ours, 403, "no right"), "for itself");
    }
    assert!(!gate.refuses(&ours));
}

#[test]
fn whoever_was_never_tried_has_its_turn_soon_however_many_are_forbidden() {
    let gate = Gate::default();
    let ours = HeaderValue::from_static("a");
    let waits = |one| match gate.pass(remove(one), &ours) {
        Ok(()) => None,
        Err(UpstreamError::Later { after, .. }) => after,
        Err(other) => panic!("{one}: {other}"),
    };
    for one in 0..SEVERAL as u64 {
        gate.note(remove(one), &ours, 403, "no right");
    }
    // Twelve who are forbidden, and one who is not.
    assert_eq!(waits(10), None);
    gate.note(remove(10), &ours, 403, "no right");
    for one in 11..=22 {
        let wait = waits(one).unwrap();
        assert!(wait <= APART * 12, "{one}: {wait:?}");
    }
    let last = waits(22).unwrap();
    assert!(
        last > APART * 6,
        "in the order in which they came: {last:?}"
    );
    for one in 11..22 {
        later(&gate, APART);
        assert_eq!(waits(one), None, "{one}");
        gate.note(remove(one), &ours, 403, "no right");
        let again = gate.pass(remove(one), &ours).unwrap_err();
        assert!(matches!(again, UpstreamError::Denied { .. }), "{one}");
    }
    later(&gate, APART);
    assert_eq!(waits(22), None);
    gate.note(remove(22), &ours, 204, "");
    assert!(gate.pass(remove(11), &ours).is_ok());
    assert!(gate.note(remove(11), &ours, 403, "no right"), "for itself");
}

#[test]
fn what_is_remembered_is_bounded() {
    let gate = Gate::default();
    let ours = HeaderValue::from_static("a");
    let many = 2 * REMEMBERED as u64;
    for one in 0..many {
        gate.note(add(one), &ours, 403, "no right");
    }
    for one in many..2 * many {
        let _ = gate.pass(add(one), &ours);
    }
    let closed = gate.lock();
    let kind = closed.kinds.values().next().unwrap();
    assert_eq!(kind.ones.len(), REMEMBERED);
    assert_eq!(kind.queue.len(), REMEMBERED);
}
