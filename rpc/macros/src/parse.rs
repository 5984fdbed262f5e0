//! What the user wrote, checked.

mod method;
mod options;
mod types;

pub(crate) use method::{Argument, Method, Output, Owned, desugar};
pub(crate) use options::Options;

use proc_macro2::Span;
use quote::format_ident;
use syn::{Ident, ItemTrait, TraitItem, spanned::Spanned};

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
        for entry in &mut item.items {
            match entry {
                TraitItem::Fn(function) => {
                    let next_code = u32::try_from(methods.len()).unwrap_or(u32::MAX) + 1;
                    errors
                        .take(Method::new(function, next_code))
                        .map(|method| methods.push(method));
                }
                other => errors.add(other.span(), "an interface has methods only"),
            }
        }
        check_codes(&methods, &mut errors);
        if methods.len() > MAX_METHODS {
            errors.add(
                item.ident.span(),
                format!("more than {MAX_METHODS} methods"),
            );
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
            item.generics.span(),
            "an interface cannot be generic: both ends must know every type",
        );
    }
    if let Some(clause) = &item.generics.where_clause {
        errors.add(clause.span(), "an interface cannot have a where clause");
    }
    if let Some(token) = &item.unsafety {
        errors.add(token.span(), "an interface cannot be unsafe");
    }
    if let Some(token) = &item.auto_token {
        errors.add(token.span(), "an interface cannot be an auto trait");
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
            errors.add(method.code_span, message);
        }
    }
}

/// Everything that is wrong, to be said together.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn add(&mut self, span: Span, message: impl std::fmt::Display) {
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
