//! Why somebody may call something, or not.

use std::fmt;

use proto::ServiceId;

use super::Rule;

/// What a policy says of one call, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Of which service.
    pub service: ServiceId,
    /// Which method.
    pub method: u32,
    /// Why.
    pub reason: Reason,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// A rule allows it and nothing denies it.
    Allowed(RuleName),
    /// A denial takes it away, whatever else allows it.
    Denied(RuleName),
    /// Rules allow this caller other methods of the service.
    OtherMethods(Vec<RuleName>),
    /// No rule speaks of this caller and this service.
    NoRule,
    /// There are rules of who may register what, and none lets the service be registered for other devices.
    NotDistributed,
}

/// Which rule, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName {
    /// Its id.
    pub id: String,
    /// Its line in the file, if it is from one.
    pub line: Option<usize>,
}

impl From<&Rule> for RuleName {
    fn from(rule: &Rule) -> Self {
        Self {
            id: rule.id.clone(),
            line: rule.line,
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (line {line})", self.id),
            None => f.write_str(&self.id),
        }
    }
}

impl Explanation {
    /// Whether the call is allowed.
    pub const fn allowed(&self) -> bool {
        matches!(self.reason, Reason::Allowed(_))
    }

    /// The rules it goes back to.
    pub fn rules(&self) -> &[RuleName] {
        match &self.reason {
            Reason::Allowed(rule) | Reason::Denied(rule) => std::slice::from_ref(rule),
            Reason::OtherMethods(rules) => rules,
            Reason::NoRule | Reason::NotDistributed => &[],
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Allowed(rule) => write!(f, "allowed by rule {rule}"),
            Reason::Denied(rule) => write!(f, "denied by {rule}"),
            Reason::NoRule => f.write_str("denied: no rule speaks of this device and this service"),
            Reason::NotDistributed => {
                f.write_str("denied: no register rule lets the service be distributed")
            }
            Reason::OtherMethods(rules) => {
                f.write_str("denied: other methods are allowed, by rule ")?;
                for (index, rule) in rules.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{rule}")?;
                }
                Ok(())
            }
        }
    }
}
