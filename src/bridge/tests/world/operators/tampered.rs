//! What the judge must find, put into the evidence of a good world.

use super::{Life, Saw, Seen};

impl Seen {
    fn last_life(&mut self) -> &mut Life {
        self.lives.last_mut().unwrap()
    }

    pub(in super::super) fn lose_a_record(&mut self) {
        self.last_life().rows.remove(0);
    }

    pub(in super::super) fn lose_a_call(&mut self) {
        self.last_life().attempts.pop();
    }

    pub(in super::super) fn invent_a_call(&mut self) {
        let attempts = &mut self.last_life().attempts;
        attempts.extend(attempts.last().cloned());
    }

    pub(in super::super) fn forget_a_change(&mut self) {
        let rows = self.lives.iter_mut().flat_map(|life| &mut life.rows);
        for row in rows.filter(|row| row.action == "change_group") {
            row.action = "nothing".into();
        }
    }

    pub(in super::super) fn show_what_was_before(&mut self) {
        let mut reads = self.reads.iter_mut();
        if let Some((_, shown)) = reads.find_map(|read| read.versions.as_mut()) {
            *shown = 0;
        }
    }

    pub(in super::super) fn show_a_stranger(&mut self) {
        self.names.insert("nobody".into(), "nobody".into());
        for read in &mut self.reads {
            if let Saw::Group(_, _, Some(members)) = &mut read.shown {
                members.insert("nobody".into());
            }
        }
    }

    pub(in super::super) fn tell_otherwise(&mut self) {
        for told in &mut self.told {
            told.paused = told.paused.map(|paused| !paused);
        }
    }

    pub(in super::super) fn forget_who_stopped_it(&mut self) {
        let rows = self.lives.iter_mut().flat_map(|life| &mut life.rows);
        for row in rows.filter(|row| row.action == "pause") {
            row.actor = "operator".into();
        }
    }

    pub(in super::super) fn hide_a_user(&mut self) {
        for read in &mut self.reads {
            if let Saw::User(_, active) = &mut read.shown {
                *active = active.map(|active| !active);
            }
        }
    }
}
