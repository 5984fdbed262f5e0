//! `#[parcelable(..)]`, on the type, on a variant and on a field.

use proc_macro2::Span;
use syn::{Attribute, LitInt, Path, meta::ParseNestedMeta, spanned::Spanned};

/// `crate = path`.
pub(super) fn of_type(attrs: &[Attribute]) -> syn::Result<Option<Path>> {
    let mut krate = None;
    each(attrs, |meta| {
        if !meta.path.is_ident("crate") {
            return Err(meta.error("a type has `#[parcelable(crate = path)]` and nothing else"));
        }
        let path = meta.value()?.call(Path::parse_mod_style)?;
        once(&meta, krate.replace(path))
    })?;
    Ok(krate)
}

/// `tag = N`.
pub(super) fn of_variant(attrs: &[Attribute]) -> syn::Result<Option<(i32, Span)>> {
    let mut tag = None;
    each(attrs, |meta| {
        if !meta.path.is_ident("tag") {
            return Err(meta.error("a variant has `#[parcelable(tag = ..)]` and nothing else"));
        }
        let number: LitInt = meta.value()?.parse()?;
        match number.base10_parse() {
            Ok(value) => once(&meta, tag.replace((value, number.span()))),
            Err(_) => Err(syn::Error::new(number.span(), "a tag is an `i32`")),
        }
    })?;
    Ok(tag)
}

/// `skip`.
pub(super) fn of_field(attrs: &[Attribute]) -> syn::Result<bool> {
    let mut skip = None;
    each(attrs, |meta| {
        if !meta.path.is_ident("skip") {
            return Err(meta.error("a field has `#[parcelable(skip)]` and nothing else"));
        }
        once(&meta, skip.replace(()))
    })?;
    Ok(skip.is_some())
}

fn each(
    attrs: &[Attribute],
    mut read: impl FnMut(ParseNestedMeta<'_>) -> syn::Result<()>,
) -> syn::Result<()> {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("parcelable"))
        .try_for_each(|attr| attr.parse_nested_meta(&mut read))
}

fn once<T>(meta: &ParseNestedMeta<'_>, earlier: Option<T>) -> syn::Result<()> {
    match (earlier, meta.path.get_ident()) {
        (Some(_), Some(name)) => {
            let message = format!("`{name}` is given twice");
            Err(syn::Error::new(meta.path.span(), message))
        }
        _ => Ok(()),
    }
}
