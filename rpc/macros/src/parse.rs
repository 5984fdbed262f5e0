//! What the user wrote, checked.

mod method;
mod options;
mod types;

pub(crate) use method::{Argument, Method, Output, Owned, desugar};
pub(crate) use options::Options;

use std::fmt::Display;

use proc_macro2::Span;
use quote::{ToTokens, format_ident};
use syn::{Ident, ItemTrait, TraitItem};

/// The most methods that one binding on the wire lists.
const MAX_METHODS: usize = 1024;

/// A trait that can be an interface.
pub(crate) struct Interface {
    /// The trait as it was written, without the attributes that are ours.
    pub(crate) item: ItemTrait,
    /// In the order in which they were declared.
    pub(crate) methods: Vec<Method>,
    pub(crate) descriptor: String,
    pub(crate) proxy: Ident,
    pub(crate) stub: Ident,
}

impl Interface {
    /// Checks a trait, and takes our attributes off its methods. Says everything that is wrong at once.
    pub(crate) fn new(options: &Options, mut item: ItemTrait) -> syn::Result<Self> {
        let mut errors = Errors::default();
        check_trait(&item, &mut errors);
        let mut methods = Vec::new();
        for (entry, next_code) in item.items.iter_mut().zip(1..) {
            match entry {
                TraitItem::Fn(function) => {
                    methods.extend(errors.take(Method::new(function, next_code)));
                }
                other => errors.add(other, "an interface has methods only"),
            }
        }
        check_codes(&methods, &mut errors);
        if methods.len() > MAX_METHODS {
            errors.add(&item.ident, format!("more than {MAX_METHODS} methods"));
        }
        let descriptor = errors.take(options.descriptor(&item.ident));
        let (proxy, stub) = (
            format_ident!("{}Proxy", item.ident),
            format_ident!("{}Stub", item.ident),
        );
        errors.finish()?;
        Ok(Self {
            methods,
            descriptor: descriptor.unwrap_or_default(),
            proxy,
            stub,
            item,
        })
    }
}

fn check_trait(item: &ItemTrait, errors: &mut Errors) {
    if !item.generics.params.is_empty() {
        errors.add(
            &item.generics,
            "an interface cannot be generic: both ends must know every type",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.add(clause, "an interface cannot have a where clause");
    }
    if let Some(token) = &item.unsafety {
        errors.add(token, "an interface cannot be unsafe");
    }
    if let Some(token) = &item.auto_token {
        errors.add(token, "an interface cannot be an auto trait");
    }
}

fn check_codes(methods: &[Method], errors: &mut Errors) {
    for (index, method) in methods.iter().enumerate() {
        if let Some(earlier) = methods[..index]
            .iter()
            .find(|earlier| earlier.code == method.code)
        {
            let message = format!(
                "code {} is that of `{}` already",
                method.code, earlier.ident
            );
            errors.at(method.code_span, message);
        }
    }
}

/// Everything that is wrong, to be said together.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    /// All of `what` is underlined.
    pub(crate) fn add(&mut self, what: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(what, message));
    }

    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// The value, or `None` and the error is kept.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}
