//! Which roles are SCIM Groups, in which order, and what becomes of one that is gone.
#![allow(clippy::unwrap_used)]
use super::*;

const GROUP: &str = "10000000-0000-4000-8000-000000000001";

fn membership(role: &str, name: &str) -> Membership {
    Membership {
        role_id: role.into(),
        role_name: name.into(),
        ..Membership::default()
    }
}

fn families(text: &str) -> Families {
    Families::new(&toml::from_str(text).unwrap())
}

fn group() -> Group {
    Group {
        id: GROUP.into(),
        name: "Example {role} Inc.".into(),
    }
}

fn names(found: &[RemoteGroup]) -> Vec<(&str, u32)> {
    let one = |group: &'_ RemoteGroup| group.family.as_ref().unwrap().rank;
    found
        .iter()
        .map(|group| (group.fields["displayName"].as_str(), one(group)))
        .collect()
}

#[test]
fn roles_that_are_seen_are_groups_in_the_order_of_precedence_and_stay() {
    let families = families("");
    let all = [
        membership("r3", "group_member"),
        membership("r9", "auditor"),
        membership("r1", "group_admin"),
        membership("r3", "group_member"),
        membership("r/4", "odd"),
    ];
    families.learn(GROUP, &all);
    families.learn(GROUP, &all[..1]);
    let found = families.remote(&group(), &all);
    assert_eq!(
        names(&found),
        [
            ("Example {role} Inc.: group_admin", 0),
            ("Example {role} Inc.: group_member", 1),
            ("Example {role} Inc.: auditor", 2),
        ]
    );
    assert_eq!(found[1].name, format!("{GROUP}/r3"));
    assert_eq!(found[1].member_count, Some(2));
    assert_eq!(families.remote_of(&group(), "r9").unwrap(), {
        let mut same = found[2].clone();
        same.member_count = None;
        same
    });
    assert_eq!(families.remote_of(&group(), "r8"), None);
}

#[test]
fn entries_that_contradict_what_is_seen_or_are_one_role_are_told() {
    let families = families(&format!(
        "[[groups]]\ngroup = \"{GROUP}\"\nrole = \"group_viewer\"\nrole_id = \"r1\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole = \"group_member\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"r3\"\ndisplay_name = \"Everybody\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole = \"Auditor\"\nrole_id = \"r4\"\n"
    ));
    let all = [
        membership("r1", "group_admin"),
        membership("r3", "group_member"),
        membership("r4", "auditor"),
    ];
    assert_eq!(families.contradictions(GROUP), []);
    families.learn(GROUP, &all);
    let told: Vec<String> = families
        .contradictions(GROUP)
        .into_iter()
        .map(|(what, _)| what)
        .collect();
    assert_eq!(
        told,
        [
            "groups: entry 1: its role_id is that of \"group_admin\", and not of \"group_viewer\"",
            "groups: entry 3 is the same role as entry 2, \"group_member\"",
        ]
    );
}

#[test]
fn configured_groups_are_those_and_no_others_in_their_own_order() {
    let families = families(&format!(
        "display_name = \"{{role}}@{{group_id}}{{odd}}\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole = \"group_viewer\"\ndisplay_name = \"Readers\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"r1\"\n\
         [[groups]]\ngroup = \"{GROUP}\"\nrole = \"nobody has it\"\n"
    ));
    assert_eq!(families.configured(), [GROUP]);
    assert_eq!(families.roles(GROUP).len(), 1, "names are not known yet");
    let all = [
        membership("r1", "group_admin"),
        membership("r2", "Group Viewer"),
        membership("r3", "group_member"),
    ];
    families.learn(GROUP, &all);
    let admin = format!("group_admin@{GROUP}");
    let found = families.remote(&group(), &all);
    assert_eq!(names(&found), [("Readers", 0), (&admin, 1)]);
    assert_eq!(families.unresolved(GROUP), ["nobody has it"]);
    let places = ["r2", "r1", "r3", "unseen"].map(|role| families.place(GROUP, role));
    assert_eq!(places, [Some(0), Some(1), None, Some(2)]);
    let offered = ["r1", "unseen", "r3"].map(|role| families.offers(GROUP, role));
    assert_eq!(offered, [true, true, false]);
    assert!(!families.offers("another", "r1"));
    let capital = GROUP.replace('0', "A");
    let text = format!("[[groups]]\ngroup = \"{capital}\"\nrole_id = \"AB\"");
    let small = self::families(&text);
    assert!(small.offers(&capital.to_lowercase(), "ab"));
    assert_eq!(
        families.name_of(GROUP, "r3").as_deref(),
        Some("group_member")
    );
}

#[test]
fn a_role_that_nobody_has_is_recalled_until_another_has_its_name() {
    let families = families("");
    families.learn(GROUP, &[membership("r1", "group_admin")]);
    families.recall(GROUP, "r1", "old name");
    families.recall(GROUP, "r5", "auditor");
    families.recall(GROUP, "r6", "reader");
    assert_eq!(families.place(GROUP, "r5"), Some(1));
    families.learn(GROUP, &[membership("r9", "Auditor")]);
    let ids = |families: &Families| -> Vec<String> {
        families.roles(GROUP).into_iter().map(|it| it.id).collect()
    };
    assert_eq!(ids(&families), ["r1", "r9", "r6"]);
    // Two that are seen may have one name.
    families.learn(
        GROUP,
        &[membership("r6", "reader"), membership("r7", "reader")],
    );
    assert_eq!(ids(&families), ["r1", "r9", "r6", "r7"]);
    assert_eq!(
        families.name_of(GROUP, "r1").as_deref(),
        Some("group_admin")
    );
}

/// Before the start, or while somebody looks on.
#[test]
fn a_role_that_is_configured_by_a_name_is_the_one_that_has_it_now() {
    let by_name = format!("[[groups]]\ngroup = \"{GROUP}\"\nrole = \"reader\"");
    let by_id = format!("[[groups]]\ngroup = \"{GROUP}\"\nrole_id = \"r1\"");
    let both = [membership("r1", "reader"), membership("r2", "Reader")];
    for (config, recalled) in [(&by_name, true), (&by_name, false), (&by_id, false)] {
        let families = families(config);
        if recalled {
            families.recall(GROUP, "r1", "reader");
        } else {
            families.learn_all(GROUP, &both[..1]);
        }
        let is_anew = || families.is_made_anew(GROUP, "r1", ("r2", "Reader"));
        assert!(!families.is_made_anew(GROUP, "r1", ("r1", "reader")));
        families.learn_all(GROUP, &both[1..]);
        let replaced = config == &by_name;
        assert_eq!(is_anew(), replaced, "{config}");
        assert!(!families.is_made_anew(GROUP, "r2", ("r2", "Reader")));
        let is = if replaced { "r2" } else { "r1" };
        assert_eq!(families.roles(GROUP)[0].id, is);
        let gone = replaced.then(|| name(GROUP, "r1"));
        assert_eq!(families.replaced(), gone.into_iter().collect::<Vec<_>>());
        // The one before is there again, too.
        families.learn_all(GROUP, &both);
        assert_eq!(families.replaced(), [""; 0]);
        assert_eq!(is_anew(), replaced, "which of them is meant nobody knows");
    }
}

#[test]
fn only_a_whole_reading_tells_as_which_role_another_goes_on() {
    let by_name = format!("[[groups]]\ngroup = \"{GROUP}\"\nrole = \"reader\"");
    let one = |id: &str| membership(id, "reader");
    let families = families(&by_name);
    families.recall(GROUP, "r1", "reader");
    families.learn(GROUP, &[one("r2")]);
    assert_eq!(families.remade(), [], "one look is no reading");
    assert!(families.may_be_remade(GROUP, "r1"));
    families.learn_all(GROUP, &[one("r2"), one("r3")]);
    assert_eq!(families.remade(), [], "which is meant nobody knows");
    families.learn_all(GROUP, &[one("r2")]);
    let goes_on = |from: &str, to: &str| (name(GROUP, from), name(GROUP, to));
    let mut remade = families.remade();
    remade.sort();
    assert_eq!(remade, [goes_on("r1", "r2"), goes_on("r3", "r2")]);
    families.note_remade(GROUP, "r3", None);
    families.note_remade(GROUP, "r1", Some("so"));
    assert_eq!(families.remade(), []);
    assert_eq!(families.replaced(), [name(GROUP, "r1")]);
    assert!(!families.may_be_remade(GROUP, "r1"));
    // The next reading asks again.
    families.learn_all(GROUP, &[one("r2")]);
    assert_eq!(families.remade(), [goes_on("r1", "r2")]);
    families.note_remade(GROUP, "r1", None);
    assert_eq!(families.replaced(), [""; 0]);
    // A look that lags shows it once more, and no call of before is a mistake.
    families.learn(GROUP, &[one("r1")]);
    assert_eq!(families.roles(GROUP)[0].id, "r2");
    assert!(families.is_made_anew(GROUP, "r1", ("r2", "reader")));
    // And made anew again.
    families.learn_all(GROUP, &[one("r4")]);
    assert_eq!(families.remade(), [goes_on("r2", "r4")]);
}

#[test]
fn a_name_is_two_ids() {
    assert_eq!(ids(&name("g", "r")), Some(("g", "r")));
    for odd in ["", "g", "g/", "/r", "g/r/x"] {
        assert_eq!(ids(odd), None, "{odd}");
    }
}
