//! One user in one Snyk Group has exactly one role, whatever several SCIM
//! Groups ask for. How roles stand to each other, and the single call that
//! gets to the wanted one, are decided here, as pure functions.

use super::api::Membership;

/// What is left to do for one user in one Snyk Group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Nothing,
    Create {
        role: String,
    },
    Update {
        membership: String,
        role: String,
    },
    Delete {
        membership: String,
    },
    /// The role that is there is nobody's to change here.
    Leave {
        role: String,
    },
}

/// How a role stands to the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Before,
    Behind,
    /// It is no SCIM Group, and may be more than what is asked for.
    Strange,
}

/// Whether two texts are the name of one role: documents and screens write
/// them in two ways, `group_admin` and `Group Admin`.
pub fn is_same_name(one: &str, two: &str) -> bool {
    plain(one) == plain(two)
}

/// By what roles are put in order: their place in `precedence`, and behind it
/// by their names.
pub fn order(name: &str, precedence: &[String]) -> (usize, String) {
    let name = plain(name);
    let place = precedence.iter().position(|listed| plain(listed) == name);
    (place.unwrap_or(precedence.len()), name)
}

pub fn is_listed(name: &str, precedence: &[String]) -> bool {
    let name = plain(name);
    precedence.iter().any(|listed| plain(listed) == name)
}

/// Whether one role is listed behind another that is listed, too.
pub fn is_listed_behind(name: &str, other: &str, precedence: &[String]) -> bool {
    let place = |name: &str| {
        let name = plain(name);
        precedence.iter().position(|listed| plain(listed) == name)
    };
    matches!((place(name), place(other)), (Some(it), Some(other)) if it > other)
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

/// To have `own` at least: whoever has it, or one that stands before it, keeps
/// that; whoever has one that stands behind it, or none, gets what counts.
pub fn step_up(
    own: &str,
    counts: &str,
    now: Option<&Membership>,
    standing: impl Fn(&Membership) -> Standing,
) -> Step {
    let Some(now) = now else {
        return Step::Create {
            role: counts.into(),
        };
    };
    if [own, counts].contains(&now.role_id.as_str()) {
        return Step::Nothing;
    }
    match standing(now) {
        Standing::Before => Step::Nothing,
        Standing::Behind => Step::Update {
            membership: now.id.clone(),
            role: counts.into(),
        },
        Standing::Strange => Step::Leave {
            role: now.role_name.clone(),
        },
    }
}

/// Not to have `own` any more: whoever has just that gets what counts, or is
/// in the group no more. Another role is the matter of another SCIM Group, or
/// was given by somebody in Snyk.
pub fn step_down(own: &str, counts: Option<&str>, now: Option<&Membership>) -> Step {
    match (now.filter(|now| now.role_id == own), counts) {
        (Some(now), Some(role)) if now.role_id != role => Step::Update {
            membership: now.id.clone(),
            role: role.into(),
        },
        (None, _) | (Some(_), Some(_)) => Step::Nothing,
        (Some(now), None) => Step::Delete {
            membership: now.id.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(role: &str) -> Membership {
        Membership {
            id: "m-ann".into(),
            user_id: "ann".into(),
            role_id: role.into(),
            role_name: role.into(),
            ..Membership::default()
        }
    }

    /// admin stands before viewer, viewer before member.
    fn up(own: &str, counts: &str, now: Option<&str>) -> Step {
        let order = ["admin", "viewer", "member"];
        let place = |role: &str| order.iter().position(|it| *it == role);
        let now = now.map(member);
        step_up(own, counts, now.as_ref(), |now| match place(&now.role_id) {
            None => Standing::Strange,
            now if now < place(own) => Standing::Before,
            Some(_) => Standing::Behind,
        })
    }

    fn update(role: &str) -> Step {
        Step::Update {
            membership: "m-ann".into(),
            role: role.into(),
        }
    }

    #[test]
    fn to_have_a_role_at_least_is_one_call_or_none() {
        let create = |role: &str| Step::Create { role: role.into() };
        let strange = Step::Leave {
            role: "custom".into(),
        };
        for (own, counts, now, step) in [
            ("viewer", "viewer", None, create("viewer")),
            ("viewer", "admin", None, create("admin")),
            ("viewer", "viewer", Some("viewer"), Step::Nothing),
            ("viewer", "viewer", Some("admin"), Step::Nothing),
            ("viewer", "admin", Some("viewer"), Step::Nothing),
            ("viewer", "viewer", Some("member"), update("viewer")),
            ("viewer", "admin", Some("member"), update("admin")),
            ("admin", "admin", Some("viewer"), update("admin")),
            ("viewer", "viewer", Some("custom"), strange.clone()),
            ("member", "admin", Some("custom"), strange.clone()),
        ] {
            assert_eq!(up(own, counts, now), step, "{own} {counts} {now:?}");
        }
    }

    #[test]
    fn to_leave_a_role_falls_back_to_the_next_and_touches_no_other() {
        let delete = Step::Delete {
            membership: "m-ann".into(),
        };
        for (own, counts, now, step) in [
            ("admin", Some("viewer"), Some("admin"), update("viewer")),
            ("admin", None, Some("admin"), delete.clone()),
            ("admin", None, Some("viewer"), Step::Nothing),
            ("admin", Some("viewer"), None, Step::Nothing),
            ("viewer", Some("admin"), Some("admin"), Step::Nothing),
            ("viewer", Some("admin"), Some("viewer"), update("admin")),
            ("viewer", Some("viewer"), Some("viewer"), Step::Nothing),
        ] {
            let now = now.map(member);
            assert_eq!(step_down(own, counts, now.as_ref()), step);
        }
    }

    #[test]
    fn a_role_is_known_by_its_name_in_either_spelling() {
        assert!(is_same_name("Group Admin", "group_admin"));
        assert!(is_same_name("group-admin ", "GROUP_ADMIN"));
        assert!(!is_same_name("Group Admin", "Group Viewer"));
    }

    #[test]
    fn listed_roles_stand_before_others_and_these_are_in_the_order_of_names() {
        let precedence = ["group_admin", "group_viewer"].map(str::to_owned);
        let mut names = ["zebra", "auditor", "group_viewer", "Group Admin"];
        names.sort_by_key(|name| order(name, &precedence));
        assert_eq!(names, ["Group Admin", "group_viewer", "auditor", "zebra"]);
        let behind = |name, other| is_listed_behind(name, other, &precedence);
        assert!(behind("Group Viewer", "group_admin"));
        assert!(!behind("group_admin", "group_viewer"));
        assert!(!behind("auditor", "group_admin") && !behind("group_viewer", "auditor"));
    }
}
