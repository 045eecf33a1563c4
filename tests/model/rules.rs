//! What the bridge keeps to, each told with the file it stands for: names alone are
//! of `src/store/sqlite/`, those with a folder of `src/bridge/` or `src/`.

/// The rules, each of which can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// What is sent is marked on disk before (`group_turn.rs`, `mark`).
    MarkBeforeSending,
    /// An answer tells of what was sent, not of what is wanted meanwhile
    /// (`group_turn/end.rs`, `settle_pairs`).
    OlderIsNotNewer,
    /// What was asked for otherwise since the turn began is not sent
    /// (`converge/groups.rs`, `still_wanted`; H-02).
    SendWhatIsWanted,
    /// One turn of a group at a time (`lane.rs`, `wake`; H-09, I-28).
    OneTurnAtATime,
    /// A call without an answer leaves unknown what it was about
    /// (`group_turn/end.rs`, `note_unanswered`; H-04).
    NeverAssume,
    /// Of a batch each is done or not (`converge/groups.rs`, `note_outcomes`; H-06).
    ItemByItem,
    /// What was not sent is as it was before (`group_turn/end.rs`, `as_before`).
    UnsentIsAsBefore,
    /// What was on its way at the end of a process is unknown, and may land
    /// (`late.rs`, `note_interrupted`; H-08).
    CrashIsUnknown,
    /// When no late call can land any more it is said once more
    /// (`late/recheck.rs`, `recheck`; H-05).
    RecheckLate,
    /// But not while a call about it is on its way, which may have been done before
    /// the late one (`late/recheck.rs`, `recheck`).
    RecheckAfterAnswer,
    /// What is to go the same way is as unclear, as long as it is still to be said and
    /// may be refused (`late/recheck.rs`, `reopen_pair`).
    OpenIsUnclear,
    /// A removal waits for no late call (`group_turn/open.rs`, `open_pairs`; H-05).
    RemoveAtOnce,
    /// What an early read shows is said once more (`late.rs`, `note_read`; H-12).
    EarlyReadIsNoProof,
    /// What is asked for after that is read anew (`members.rs`, `CHANGE`).
    AskedIsReadAnew,
    /// A refusal takes nothing back that was asked for since (`undone.rs`, `undo`).
    RefusalIsNotNewer,
    /// A refusal does not tell what is there (`undone.rs`, `note_unclear`).
    RefusalTellsNothing,
    /// Who makes room goes after who comes (`plan/decide.rs`, `change_members`; H-03).
    AddsFirst,
    /// A replacement names who stays, too (`group_turn.rs`, `whole_set`; I-08).
    WholeSet,
    /// There is none where somebody who stays cannot be named (the same).
    NobodyUnnamed,
    /// Who could not be named in it is said again (`late.rs`, `note_unnamed`).
    NoteUnnamed,
    /// Who came after it is said again (`late.rs`, `note_newer`).
    NoteNewer,
    /// It takes out nobody who was never asked for (`converge/groups.rs`,
    /// `nobody_unasked`; I-26).
    NobodyUnasked,
    /// Two readings agree before they are believed (`reconcile/pass.rs`, `group`;
    /// rule 7, I-22).
    ReadingsAgree,
    /// The second cannot lag behind what the first lagged behind (the same; H-12).
    ReadsFarApart,
    /// None is believed that a turn overtook (`reconcile.rs`, `was_turned`).
    OvertakenReadingIsNone,
    /// What one does not show may be there again by now (`reconcile.rs`,
    /// `settle_group`).
    FoundIsUnclear,
}
