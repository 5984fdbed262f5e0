//! What the parameters of a generic type have to be.
//!
//! Bounds stand on parameters and not on the types of fields: that of a field may be the type itself, in a box, and the
//! compiler would ask for ever.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Generics, Ident, Type, parse_quote,
    visit::{self, Visit},
};

use super::definition::{Definition, Field};

/// For `impl Marshal`.
pub(super) fn marshal(definition: &Definition<'_>, rt: &TokenStream) -> Generics {
    let mut generics = definition.generics.clone();
    for param in definition.generics.type_params() {
        let ident = &param.ident;
        if sent(definition).any(|field| mentions(field.ty, &[ident])) {
            let bound = parse_quote!(#ident: #rt::Marshal);
            generics.make_where_clause().predicates.push(bound);
        }
    }
    generics
}

/// For `impl Parcelable`, which needs `Marshal` too.
pub(super) fn parcelable(definition: &Definition<'_>, rt: &TokenStream) -> Generics {
    let mut generics = definition.generics.clone();
    let params: Vec<_> = definition
        .generics
        .type_params()
        .map(|param| &param.ident)
        .collect();
    if params.is_empty() {
        return generics;
    }
    let predicates = &mut generics.make_where_clause().predicates;
    for ident in &params {
        let bound = if sent(definition).any(|field| mentions(field.ty, &[ident])) {
            quote!(#rt::Parcelable)
        } else {
            quote!('static)
        };
        predicates.push(parse_quote!(#ident: #bound));
    }
    for field in definition.fields().filter(|field| field.skipped) {
        if mentions(field.ty, &params) {
            let ty = field.ty;
            predicates.push(parse_quote!(#ty: ::core::default::Default));
        }
    }
    generics
}

fn sent<'a>(definition: &'a Definition<'a>) -> impl Iterator<Item = &'a Field<'a>> {
    definition.fields().filter(|field| !field.skipped)
}

/// Whether a type speaks of one of these parameters.
fn mentions(ty: &Type, params: &[&Ident]) -> bool {
    let mut finder = Finder {
        params,
        found: false,
    };
    finder.visit_type(ty);
    finder.found
}

struct Finder<'a> {
    params: &'a [&'a Ident],
    found: bool,
}

impl Visit<'_> for Finder<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        let first = path.segments.first().map(|segment| &segment.ident);
        self.found |= first.is_some_and(|first| self.params.contains(&first));
        visit::visit_path(self, path);
    }
}
