//! Which devices may call which services of this one: the policy of its owner.
//!
//! Pure: a [`Policy`] is a value, and the same question has the same answer. [`PolicyStore`] keeps the one in force and
//! reads its file again.

mod document;
mod error;
mod explanation;
mod register;
mod rule;
mod store;
mod subject;

use std::collections::{BTreeMap, BTreeSet};

use proto::{DeviceId, ServiceId};

pub use error::{PolicyError, PolicyFault, ReadPolicyError};
pub use explanation::{Explanation, Reason, RuleName};
pub use register::RegisterRule;
pub use rule::{Access, Rule};
pub use store::PolicyStore;
pub(crate) use subject::check_name;
pub use subject::{FleetPattern, MemberName, ParseSubjectError, Subject};

use rule::Selection;

/// Who asks, as the connection proved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Whose key it is.
    pub device: DeviceId,
    /// Which member of a fleet it is, if its certificate says so.
    pub member: Option<MemberName>,
}

impl Principal {
    /// A device that is no member of a fleet.
    pub const fn device(device: DeviceId) -> Self {
        Self {
            device,
            member: None,
        }
    }

    /// A device that no rule names: what only [`Subject::Trusted`] speaks of.
    fn unnamed() -> Self {
        // No key has this hash.
        Self::device(DeviceId::from_bytes([0; 32]))
    }
}

/// What a device's owner allows. A device may do what some rule allows it and no denial takes away; the order of rules
/// means nothing, and without a rule nothing is allowed.
///
/// A policy is the owner's word beside each service's own: a service is called by those that both admit.
///
/// ```
/// use proto::{DeviceId, ServiceId};
/// use softbus_certs::{Policy, Principal, Rule, Subject};
///
/// let tv = DeviceId::from_bytes([7; 32]);
/// let echo = ServiceId::new(1401).unwrap();
/// let policy = Policy::builder()
///     .group("living-room", [tv])
///     .rule(Rule::allow("echo").from(Subject::group("living-room")).service(echo).methods([1, 2]))
///     .build()?;
/// let access = policy.access(&Principal::device(tv), echo);
/// assert!(access.admits(2) && !access.admits(3));
/// # Ok::<(), softbus_certs::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    groups: BTreeMap<String, BTreeSet<DeviceId>>,
    allowed: Vec<Rule>,
    denied: Vec<Rule>,
    registrations: Vec<RegisterRule>,
}

impl Policy {
    /// The most rules, denials and built-in tests a policy may have, of each.
    pub const MAX_RULES: usize = 1024;
    /// The most groups, and the most devices in one.
    pub const MAX_GROUP: usize = 4096;
    /// The most services or methods one rule may list.
    pub const MAX_LISTED: usize = 1024;
    /// The most bytes of a file.
    pub const MAX_FILE_LEN: usize = 1024 * 1024;

    /// A policy made in code.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// A policy as a file has it; its built-in tests have to hold.
    ///
    /// # Errors
    /// [`PolicyError`], with the line.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        document::parse(text)
    }

    /// How many rules allow something.
    pub fn rule_count(&self) -> usize {
        self.allowed.len()
    }

    /// How many rules deny something.
    pub fn denial_count(&self) -> usize {
        self.denied.len()
    }

    /// How many rules let services be registered.
    pub fn registration_count(&self) -> usize {
        self.registrations.len()
    }

    /// Whether processes of a user of this device may register a service, for this device only or for others too. Where
    /// there is no such rule, all may.
    pub fn may_register(&self, service: ServiceId, user: u32, distributed: bool) -> bool {
        let admits = |rule: &RegisterRule| rule.admits(service, user, distributed);
        self.registrations.is_empty() || self.registrations.iter().any(admits)
    }

    /// Whether anybody may register it for other devices.
    fn may_be_distributed(&self, service: ServiceId) -> bool {
        let admits = |rule: &RegisterRule| rule.distributed && rule.services.has(&service);
        self.registrations.is_empty() || self.registrations.iter().any(admits)
    }

    /// Which methods of a service somebody may call. None of one that no rule lets be registered for other devices.
    pub fn access(&self, who: &Principal, service: ServiceId) -> Access {
        if !self.may_be_distributed(service) {
            return Access::Nothing;
        }
        let denied = self.union(&self.denied, who, service);
        match (self.union(&self.allowed, who, service), denied) {
            (_, Selection::All) => Access::Nothing,
            (Selection::All, Selection::Listed(but)) => Access::all_but(but),
            (Selection::Listed(only), Selection::Listed(but)) => {
                Access::only(only.difference(&but).copied().collect())
            }
        }
    }

    /// Why somebody may or may not call a method.
    pub fn explain(&self, who: &Principal, service: ServiceId, method: u32) -> Explanation {
        let speaks = |rule: &&Rule| self.matches(rule, who) && rule.services.has(&service);
        let of_method = |rule: &&Rule| rule.methods.has(&method);
        let denied = self.denied.iter().filter(speaks).find(of_method);
        let allowed: Vec<_> = self.allowed.iter().filter(speaks).collect();
        let reason = match (denied, allowed.iter().copied().find(of_method)) {
            _ if !self.may_be_distributed(service) => Reason::NotDistributed,
            (Some(rule), _) => Reason::Denied(rule.into()),
            (None, Some(rule)) => Reason::Allowed(rule.into()),
            (None, None) if allowed.is_empty() => Reason::NoRule,
            (None, None) => Reason::OtherMethods(allowed.into_iter().map(Into::into).collect()),
        };
        Explanation {
            service,
            method,
            reason,
        }
    }

    /// The methods that rules speak of, for somebody and a service.
    fn union(&self, rules: &[Rule], who: &Principal, service: ServiceId) -> Selection<u32> {
        let speaking = rules
            .iter()
            .filter(|rule| self.matches(rule, who) && rule.services.has(&service));
        speaking.fold(Selection::Listed(BTreeSet::new()), |all, rule| {
            all.and(&rule.methods)
        })
    }

    fn matches(&self, rule: &Rule, who: &Principal) -> bool {
        rule.from.iter().any(|subject| match subject {
            Subject::Device(device) => *device == who.device,
            Subject::Group(group) => self
                .groups
                .get(group)
                .is_some_and(|devices| devices.contains(&who.device)),
            Subject::Trusted => true,
            Subject::Fleet(pattern) => who
                .member
                .as_ref()
                .is_some_and(|member| pattern.matches(member)),
        })
    }
}

/// Makes a [`Policy`].
#[derive(Clone, Debug, Default)]
pub struct PolicyBuilder {
    groups: BTreeMap<String, BTreeSet<DeviceId>>,
    rules: Vec<Rule>,
    registrations: Vec<RegisterRule>,
}

impl PolicyBuilder {
    /// A group of devices; more of the same name are put into it.
    #[must_use]
    pub fn group(mut self, name: &str, devices: impl IntoIterator<Item = DeviceId>) -> Self {
        let group = self.groups.entry(name.to_owned()).or_default();
        group.extend(devices);
        self
    }

    /// A rule or a denial.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Who may register services. As soon as there is one such rule, only what one of them allows is registered.
    #[must_use]
    pub fn register(mut self, rule: RegisterRule) -> Self {
        self.registrations.push(rule);
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// [`PolicyError`]: a rule speaks of nobody, of a group that there is not, or allows nothing; two have one id; there are
    /// too many of something.
    pub fn build(self) -> Result<Policy, PolicyError> {
        let Self {
            groups,
            rules,
            registrations,
        } = self;
        error::at_most("groups", Policy::MAX_GROUP, groups.len())?;
        for (name, devices) in &groups {
            check_name(name).map_err(|_| PolicyFault::BadName(name.clone()))?;
            error::at_most("devices in a group", Policy::MAX_GROUP, devices.len())?;
        }
        let mut ids = BTreeSet::new();
        for rule in &rules {
            rule.check(&groups).map_err(|fault| fault.at(rule.line))?;
            if !ids.insert(rule.id.as_str()) {
                return Err(PolicyFault::SameId(rule.id.clone()).at(rule.line));
            }
        }
        for rule in &registrations {
            rule.check().map_err(|fault| fault.at(rule.line))?;
            if !ids.insert(rule.id.as_str()) {
                return Err(PolicyFault::SameId(rule.id.clone()).at(rule.line));
            }
        }
        at_most_rules("register rules", &registrations)?;
        let (allowed, denied): (Vec<_>, Vec<_>) = rules.into_iter().partition(Rule::allows);
        at_most_rules("rules", &allowed)?;
        at_most_rules("denials", &denied)?;
        Ok(Policy {
            groups,
            allowed,
            denied,
            registrations,
        })
    }
}

fn at_most_rules<T>(what: &'static str, rules: &[T]) -> Result<(), PolicyFault> {
    error::at_most(what, Policy::MAX_RULES, rules.len())
}
