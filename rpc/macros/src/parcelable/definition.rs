//! The type as it was written, checked.

use proc_macro2::Span;
use syn::{
    Data, DeriveInput, Generics, Ident, Index, Member, Path, Type,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::attributes;
use crate::parse::Errors;

/// A type that can be sent.
pub(super) struct Definition<'a> {
    pub(super) ident: &'a Ident,
    pub(super) generics: &'a Generics,
    pub(super) body: Body<'a>,
    pub(super) crate_path: Option<Path>,
}

pub(super) enum Body<'a> {
    Struct(Fields<'a>),
    /// By tag, ascending: the order in which they were written says nothing.
    Enum(Vec<Variant<'a>>),
}

pub(super) struct Variant<'a> {
    pub(super) ident: &'a Ident,
    pub(super) tag: i32,
    pub(super) fields: Fields<'a>,
}

pub(super) struct Fields<'a> {
    pub(super) style: Style,
    pub(super) list: Vec<Field<'a>>,
}

pub(super) enum Style {
    Named,
    Tuple,
    Unit,
}

pub(super) struct Field<'a> {
    pub(super) member: Member,
    pub(super) ty: &'a Type,
    /// Not sent; `Default` at the receiver.
    pub(super) skipped: bool,
}

impl<'a> Definition<'a> {
    /// Says everything that is wrong at once.
    pub(super) fn new(input: &'a DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let crate_path = errors.take(attributes::of_type(&input.attrs)).flatten();
        for lifetime in input.generics.lifetimes() {
            errors.add(lifetime, BORROWS);
        }
        let body = match &input.data {
            Data::Struct(data) => Body::Struct(Fields::new(&data.fields, &mut errors)),
            Data::Enum(data) => Body::Enum(variants(data, &mut errors)),
            Data::Union(data) => {
                let message = "a union cannot be sent: nothing says which of its fields is there";
                errors.add(data.union_token, message);
                Body::Enum(Vec::new())
            }
        };
        errors.finish()?;
        Ok(Self {
            ident: &input.ident,
            generics: &input.generics,
            body,
            crate_path,
        })
    }

    /// All fields, of whichever variant.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field<'a>> {
        let (one, many) = match &self.body {
            Body::Struct(fields) => (Some(fields), &[][..]),
            Body::Enum(variants) => (None, &variants[..]),
        };
        one.into_iter()
            .chain(many.iter().map(|variant| &variant.fields))
            .flat_map(|fields| &fields.list)
    }
}

fn variants<'a>(data: &'a syn::DataEnum, errors: &mut Errors) -> Vec<Variant<'a>> {
    let mut variants: Vec<Variant<'a>> = Vec::new();
    for (place, variant) in (0..).zip(&data.variants) {
        let ident = &variant.ident;
        let given = errors
            .take(attributes::of_variant(&variant.attrs))
            .flatten();
        if let (Some((_, discriminant)), None) = (&variant.discriminant, given) {
            let message = "what a variant is in memory is not sent: say `#[parcelable(tag = ..)]`";
            errors.add(discriminant, message);
        }
        let (tag, span) = given.unwrap_or_else(|| (place, ident.span()));
        check_tag(&variants, tag, span, errors);
        let fields = Fields::new(&variant.fields, errors);
        variants.push(Variant { ident, tag, fields });
    }
    variants.sort_by_key(|variant| variant.tag);
    variants
}

fn check_tag(variants: &[Variant<'_>], tag: i32, span: Span, errors: &mut Errors) {
    if let Some(earlier) = variants.iter().find(|earlier| earlier.tag == tag) {
        let message = format!("tag {tag} is that of `{}` already", earlier.ident);
        errors.at(span, message);
    }
}

impl<'a> Fields<'a> {
    fn new(fields: &'a syn::Fields, errors: &mut Errors) -> Self {
        let style = match fields {
            syn::Fields::Named(_) => Style::Named,
            syn::Fields::Unnamed(_) => Style::Tuple,
            syn::Fields::Unit => Style::Unit,
        };
        let list = fields.iter().enumerate().map(|(index, field)| {
            let skipped = errors.take(attributes::of_field(&field.attrs));
            let skipped = skipped.unwrap_or_default();
            if !skipped {
                Checker { errors }.visit_type(&field.ty);
            }
            let index = || Index {
                index: index as u32,
                span: field.ty.span(),
            };
            Field {
                member: match &field.ident {
                    Some(ident) => Member::Named(ident.clone()),
                    None => Member::Unnamed(index()),
                },
                ty: &field.ty,
                skipped,
            }
        });
        let list = list.collect();
        Self { style, list }
    }

    /// Those that travel, with their place among all.
    pub(super) fn sent(&self) -> impl Iterator<Item = (usize, &Field<'a>)> {
        self.list
            .iter()
            .enumerate()
            .filter(|(_, field)| !field.skipped)
    }
}

const BORROWS: &str = "a parcelable owns what it holds: use owned types";

/// That a field can be sent, as far as its spelling tells.
struct Checker<'a> {
    errors: &'a mut Errors,
}

impl Visit<'_> for Checker<'_> {
    fn visit_type(&mut self, ty: &Type) {
        let message = match ty {
            Type::Reference(_) => BORROWS,
            Type::TraitObject(_) => {
                "a trait object cannot be sent: hold the `..Proxy` of a remote interface or a `RemoteObject`"
            }
            Type::BareFn(_) => {
                "a function cannot be sent: hold the `..Proxy` of a remote interface for a callback"
            }
            Type::Ptr(_) => "a pointer means nothing to another process",
            _ => return visit::visit_type(self, ty),
        };
        self.errors.add(ty, message);
    }

    fn visit_lifetime(&mut self, lifetime: &syn::Lifetime) {
        self.errors.add(lifetime, BORROWS);
    }
}
