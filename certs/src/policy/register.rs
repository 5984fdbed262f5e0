//! Which services may be registered on this device, by whose processes, and whether for other devices.

use std::collections::BTreeSet;

use proto::ServiceId;

use super::rule::Selection;
use super::subject::check_name;
use super::{Policy, PolicyFault, error::at_most};

/// Lets processes of this device register services. See [`PolicyBuilder::register`](super::PolicyBuilder::register).
///
/// ```
/// use proto::ServiceId;
/// use softbus_certs::{Policy, RegisterRule};
///
/// let (echo, camera) = (ServiceId::new(1401).unwrap(), ServiceId::new(1402).unwrap());
/// let policy = Policy::builder()
///     .register(RegisterRule::new("echo").services([echo]).users([1000]).distributed())
///     .register(RegisterRule::new("camera").services([camera]).every_user())
///     .build()?;
/// assert!(policy.may_register(echo, 1000, true) && !policy.may_register(echo, 1001, true));
/// assert!(policy.may_register(camera, 1001, false) && !policy.may_register(camera, 1001, true));
/// # Ok::<(), softbus_certs::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterRule {
    pub(super) id: String,
    /// Where it stands in a file.
    pub(super) line: Option<usize>,
    pub(super) services: Selection<ServiceId>,
    users: Selection<u32>,
    pub(super) distributed: bool,
}

impl RegisterRule {
    /// Lets nobody register anything until it is said who and what. `id` is what errors call it: up to 64 letters, digits
    /// and `-_.`
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            line: None,
            services: Selection::Listed(BTreeSet::new()),
            users: Selection::Listed(BTreeSet::new()),
            distributed: false,
        }
    }

    /// Services it is about; call again for more.
    #[must_use]
    pub fn services(mut self, services: impl IntoIterator<Item = ServiceId>) -> Self {
        self.services.more(services);
        self
    }

    /// It is about every service.
    #[must_use]
    pub fn every_service(mut self) -> Self {
        self.services = Selection::All;
        self
    }

    /// Users whose processes may, by their numbers (uid); call again for more. Where the system has none, it is 0.
    #[must_use]
    pub fn users(mut self, users: impl IntoIterator<Item = u32>) -> Self {
        self.users.more(users);
        self
    }

    /// Processes of every user may.
    #[must_use]
    pub fn every_user(mut self) -> Self {
        self.users = Selection::All;
        self
    }

    /// Also for other devices, if the service asks for it; without this for this device only.
    #[must_use]
    pub fn distributed(mut self) -> Self {
        self.distributed = true;
        self
    }

    pub(super) fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn admits(&self, service: ServiceId, user: u32, distributed: bool) -> bool {
        self.services.has(&service) && self.users.has(&user) && (self.distributed || !distributed)
    }

    /// What is wrong with it on its own.
    pub(super) fn check(&self) -> Result<(), PolicyFault> {
        check_name(&self.id).map_err(|_| PolicyFault::BadName(self.id.clone()))?;
        if self.users.len() == 0 {
            return Err(PolicyFault::FromNobody(self.id.clone()));
        }
        if self.services.len() == 0 {
            return Err(PolicyFault::AboutNothing(self.id.clone()));
        }
        let most = Policy::MAX_LISTED;
        at_most("services of a rule", most, self.services.len())?;
        at_most("users of a rule", most, self.users.len())
    }
}
