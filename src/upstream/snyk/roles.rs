//! One user in one Snyk Group has exactly one role, whatever several SCIM
//! groups ask for. Which one it is, and the single call that gets there, are
//! decided here, as pure functions.

use super::Membership;

/// What is left to do for one user in one Snyk Group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    Create { role: String },
    Update { membership: String, role: String },
    Delete { membership: String },
}

/// The role that counts of those asked for: the first in `precedence`. Roles
/// that are not in it come after those that are, in the order of their names,
/// so that the answer never depends on the order of requests.
pub fn role_of<'a>(asked: &[&'a str], precedence: &[String]) -> Option<&'a str> {
    let rank = |role: &str| {
        let place = precedence.iter().position(|listed| listed == role);
        place.unwrap_or(precedence.len())
    };
    asked.iter().copied().min_by_key(|role| (rank(role), *role))
}

/// The one call that makes the membership what is asked for.
pub fn step(asked: &[&str], precedence: &[String], now: Option<&Membership>) -> Step {
    match (role_of(asked, precedence), now) {
        (None, None) => Step::Nothing,
        (None, Some(now)) => Step::Delete {
            membership: now.id.clone(),
        },
        (Some(role), None) => Step::Create { role: role.into() },
        (Some(role), Some(now)) if now.role_id == role => Step::Nothing,
        (Some(role), Some(now)) => Step::Update {
            membership: now.id.clone(),
            role: role.into(),
        },
    }
}

/// Whether a step would leave a Snyk Group without anybody in the role that
/// administers it. Snyk documents no rule of its own against that.
pub fn is_last_of(role: &str, user_id: &str, step: &Step, members: &[Membership]) -> bool {
    let leaves = match step {
        Step::Delete { .. } => true,
        Step::Update { role: next, .. } => next != role,
        Step::Nothing | Step::Create { .. } => false,
    };
    let mut holders = members.iter().filter(|member| member.role_id == role);
    leaves && holders.next().is_some_and(|only| only.user_id == user_id) && holders.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(user: &str, role: &str) -> Membership {
        Membership {
            id: format!("m-{user}"),
            user_id: user.into(),
            role_id: role.into(),
            ..Membership::default()
        }
    }

    fn precedence() -> Vec<String> {
        ["admin", "viewer", "member"].map(str::to_owned).to_vec()
    }

    #[test]
    fn the_highest_role_asked_for_counts_in_whatever_order() {
        for (asked, role) in [
            (&["member", "admin"][..], Some("admin")),
            (&["admin", "member"], Some("admin")),
            (&["member", "viewer"], Some("viewer")),
            (&["zebra", "custom"], Some("custom")),
            (&["custom", "member"], Some("member")),
            (&[], None),
        ] {
            assert_eq!(role_of(asked, &precedence()), role, "{asked:?}");
        }
    }

    #[test]
    fn each_difference_is_one_call_and_no_difference_is_none() {
        let now = member("ann", "admin");
        let (id, p) = (now.id.clone(), precedence());
        assert_eq!(step(&[], &p, None), Step::Nothing);
        assert_eq!(step(&["admin", "member"], &p, Some(&now)), Step::Nothing);
        let create = Step::Create {
            role: "member".into(),
        };
        assert_eq!(step(&["member"], &p, None), create);
        let fallen = Step::Update {
            membership: id.clone(),
            role: "member".into(),
        };
        assert_eq!(
            step(&["member"], &p, Some(&now)),
            fallen,
            "the higher was left"
        );
        assert_eq!(step(&[], &p, Some(&now)), Step::Delete { membership: id });
    }

    #[test]
    fn the_last_administrator_is_told_from_one_of_two() {
        let gone = Step::Delete {
            membership: "m-ann".into(),
        };
        let other = Step::Update {
            membership: "m-ann".into(),
            role: "member".into(),
        };
        let one = [member("ann", "admin"), member("ben", "member")];
        let two = [member("ann", "admin"), member("ben", "admin")];
        for step in [&gone, &other] {
            assert!(is_last_of("admin", "ann", step, &one));
            assert!(!is_last_of("admin", "ann", step, &two));
        }
        assert!(!is_last_of("admin", "ben", &gone, &one));
        assert!(!is_last_of("admin", "ann", &Step::Nothing, &one));
    }
}
