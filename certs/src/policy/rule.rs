//! One rule: who, which services, which methods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto::{DeviceId, ServiceId};

use super::{Policy, PolicyFault, Subject, error::at_most, subject::check_name};

/// The largest code a method may have.
const MAX_METHOD: u32 = 0x00ff_ffff;

/// What a rule is about: everything, or what it lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection<T> {
    All,
    Listed(BTreeSet<T>),
}

impl<T: Ord + Clone> Selection<T> {
    pub(super) fn has(&self, one: &T) -> bool {
        match self {
            Self::All => true,
            Self::Listed(listed) => listed.contains(one),
        }
    }

    pub(super) fn and(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Listed(mut all), Self::Listed(more)) => {
                all.extend(more.iter().cloned());
                Self::Listed(all)
            }
            _ => Self::All,
        }
    }

    pub(super) fn more(&mut self, more: impl IntoIterator<Item = T>) {
        if let Self::Listed(listed) = self {
            listed.extend(more);
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::All => 1,
            Self::Listed(listed) => listed.len(),
        }
    }
}

/// Allows or denies somebody something. See [`Policy::builder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) id: String,
    /// Where it stands in a file.
    pub(super) line: Option<usize>,
    allows: bool,
    pub(super) from: Vec<Subject>,
    pub(super) services: Selection<ServiceId>,
    pub(super) methods: Selection<u32>,
}

impl Rule {
    /// Allows what is said of it afterwards: whom ([`from`](Self::from)), which services and which methods. `id` is what the
    /// audit log and explanations call it: up to 64 letters, digits and `-_.`
    pub fn allow(id: &str) -> Self {
        let nothing = (
            Selection::Listed(BTreeSet::new()),
            Selection::Listed(BTreeSet::new()),
        );
        Self::new(id, true, nothing)
    }

    /// Denies, whatever any rule allows: every method of every service, unless it names some.
    pub fn deny(id: &str) -> Self {
        Self::new(id, false, (Selection::All, Selection::All))
    }

    fn new(id: &str, allows: bool, what: (Selection<ServiceId>, Selection<u32>)) -> Self {
        Self {
            id: id.to_owned(),
            line: None,
            allows,
            from: Vec::new(),
            services: what.0,
            methods: what.1,
        }
    }

    /// Whom it is about; call again for more.
    #[must_use]
    pub fn from(mut self, subject: Subject) -> Self {
        self.from.push(subject);
        self
    }

    /// A service it is about; call again for more.
    #[must_use]
    pub fn service(self, service: ServiceId) -> Self {
        self.services([service])
    }

    /// Services it is about; call again for more.
    #[must_use]
    pub fn services(mut self, services: impl IntoIterator<Item = ServiceId>) -> Self {
        if !self.allows && self.services == Selection::All {
            self.services = Selection::Listed(BTreeSet::new());
        }
        self.services.more(services);
        self
    }

    /// It is about every service.
    #[must_use]
    pub fn every_service(mut self) -> Self {
        self.services = Selection::All;
        self
    }

    /// Methods it is about, by their codes; call again for more.
    #[must_use]
    pub fn methods(mut self, codes: impl IntoIterator<Item = u32>) -> Self {
        if !self.allows && self.methods == Selection::All {
            self.methods = Selection::Listed(BTreeSet::new());
        }
        self.methods.more(codes);
        self
    }

    /// It is about every method. What every stub answers (ping, its descriptor, its description) is for whoever may call
    /// some method.
    #[must_use]
    pub fn every_method(mut self) -> Self {
        self.methods = Selection::All;
        self
    }

    pub(super) fn allows(&self) -> bool {
        self.allows
    }

    pub(super) fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// What is wrong with it on its own.
    pub(super) fn check(
        &self,
        groups: &BTreeMap<String, BTreeSet<DeviceId>>,
    ) -> Result<(), PolicyFault> {
        check_name(&self.id).map_err(|_| PolicyFault::BadName(self.id.clone()))?;
        if self.from.is_empty() {
            return Err(PolicyFault::FromNobody(self.id.clone()));
        }
        if self.services.len() == 0 || self.methods.len() == 0 {
            return Err(PolicyFault::AboutNothing(self.id.clone()));
        }
        at_most("subjects of a rule", Policy::MAX_LISTED, self.from.len())?;
        at_most(
            "services of a rule",
            Policy::MAX_LISTED,
            self.services.len(),
        )?;
        at_most("methods of a rule", Policy::MAX_LISTED, self.methods.len())?;
        if let Selection::Listed(codes) = &self.methods
            && let Some(code) = codes.iter().find(|code| !(1..=MAX_METHOD).contains(*code))
        {
            return Err(PolicyFault::BadMethod(i64::from(*code)));
        }
        for subject in &self.from {
            if let Subject::Group(group) = subject
                && !groups.contains_key(group)
            {
                return Err(PolicyFault::UnknownGroup(group.clone()));
            }
        }
        Ok(())
    }
}

/// Which methods of one service somebody may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// None: for this caller the service is not there.
    Nothing,
    /// These codes, ascending.
    Only(Arc<[u32]>),
    /// All but these codes, ascending.
    AllBut(Arc<[u32]>),
}

impl Access {
    pub(super) fn only(codes: BTreeSet<u32>) -> Self {
        if codes.is_empty() {
            return Self::Nothing;
        }
        Self::Only(codes.into_iter().collect())
    }

    pub(super) fn all_but(codes: BTreeSet<u32>) -> Self {
        Self::AllBut(codes.into_iter().collect())
    }

    /// Whether a method may be called.
    pub fn admits(&self, code: u32) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(codes) => codes.binary_search(&code).is_ok(),
            Self::AllBut(codes) => codes.binary_search(&code).is_err(),
        }
    }
}
