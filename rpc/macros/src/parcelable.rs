//! `#[derive(Parcelable)]`: how a type of an application gets into a parcel.

mod attributes;
mod bounds;
mod definition;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{DeriveInput, ext::IdentExt, spanned::Spanned};

use crate::{allow, crate_path};
use definition::{Body, Definition, Field, Fields, Style, Variant};

/// `impl Marshal` and `impl Parcelable`.
pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let definition = Definition::new(input)?;
    let krate = crate_path::find(
        definition.crate_path.as_ref(),
        "#[parcelable(crate = path)]",
    )?;
    let rt = quote!(#krate::__private);
    let allow = allow();
    let ident = definition.ident;
    let marshal_generics = bounds::marshal(&definition, &rt);
    let parcelable_generics = bounds::parcelable(&definition, &rt);
    let (params, arguments, marshal_where) = marshal_generics.split_for_impl();
    let (_, _, parcelable_where) = parcelable_generics.split_for_impl();
    let marshal = marshal(&definition.body, &rt);
    let unmarshal = unmarshal(&definition.body, &rt);
    let text = Text::of(&definition, &rt).parts;
    let parcel = parcel();
    Ok(quote! {
        #allow
        #[automatically_derived]
        impl #params #rt::Marshal for #ident #arguments #marshal_where {
            fn marshal(
                &self,
                #parcel: &mut #rt::Parcel,
            ) -> ::core::result::Result<(), #rt::WriteParcelError> {
                #rt::Parcel::write_nested(#parcel, |#parcel| #marshal)
            }
        }

        #allow
        #[automatically_derived]
        impl #params #rt::Parcelable for #ident #arguments #parcelable_where {
            fn unmarshal(
                #parcel: &mut #rt::Parcel,
            ) -> ::core::result::Result<Self, #rt::ReadParcelError> {
                #rt::Parcel::read_nested(#parcel, |#parcel| #unmarshal)
            }

            fn type_name() -> #rt::Cow<'static, str> {
                #rt::type_text::<Self, _>(|| [#(#text),*])
            }
        }
    })
}

/// What writes `self`.
fn marshal(body: &Body<'_>, rt: &TokenStream) -> TokenStream {
    let parcel = parcel();
    let arm = |path: TokenStream, tag: Option<i32>, fields: &Fields<'_>| {
        let pattern = fields.sent().map(|(index, field)| {
            let (member, local) = (&field.member, local(index));
            quote!(#member: #local)
        });
        let writes = fields.sent().map(|(index, field)| {
            let (ty, local) = (field.ty, local(index));
            quote_spanned!(ty.span()=> <#ty as #rt::Marshal>::marshal(#local, #parcel)?;)
        });
        let tag = tag.map(|tag| quote!(#rt::Parcel::write_i32(#parcel, #tag)?;));
        quote! {
            #path { #(#pattern,)* .. } => {
                #tag
                #(#writes)*
                ::core::result::Result::Ok(())
            }
        }
    };
    let arms: Vec<_> = match body {
        Body::Struct(fields) => vec![arm(quote!(Self), None, fields)],
        Body::Enum(variants) if variants.is_empty() => return quote!(match *self {}),
        Body::Enum(variants) => variants
            .iter()
            .map(|Variant { ident, tag, fields }| arm(quote!(Self::#ident), Some(*tag), fields))
            .collect(),
    };
    quote!(match self { #(#arms)* })
}

/// What makes a `Self` of a parcel.
fn unmarshal(body: &Body<'_>, rt: &TokenStream) -> TokenStream {
    let parcel = parcel();
    let make = |path: TokenStream, fields: &Fields<'_>| {
        let values = fields.list.iter().map(
            |Field {
                 member,
                 ty,
                 skipped,
             }| {
                let value = if *skipped {
                    quote_spanned!(ty.span()=> <#ty as ::core::default::Default>::default())
                } else {
                    quote_spanned!(ty.span()=> <#ty as #rt::Parcelable>::unmarshal(#parcel)?)
                };
                quote!(#member: #value)
            },
        );
        quote!(::core::result::Result::Ok(#path { #(#values),* }))
    };
    match body {
        Body::Struct(fields) => make(quote!(Self), fields),
        Body::Enum(variants) => {
            let arms = variants.iter().map(|Variant { ident, tag, fields }| {
                let value = make(quote!(Self::#ident), fields);
                quote!(#tag => #value,)
            });
            quote! {
                match #rt::Parcel::read_i32(#parcel)? {
                    #(#arms)*
                    value => ::core::result::Result::Err(#rt::ReadParcelError::InvalidTag { value }),
                }
            }
        }
    }
}

/// The same wherever the tokens beside it come from: a type may be written by a macro.
fn parcel() -> Ident {
    Ident::new("parcel", Span::mixed_site())
}

/// What a field is called where it is written.
fn local(index: usize) -> Ident {
    format_ident!("field{index}", span = Span::mixed_site())
}

/// The definition as the fingerprint of a method has it: literals, and between them the names of types.
struct Text<'a> {
    parts: Vec<TokenStream>,
    rt: &'a TokenStream,
}

impl<'a> Text<'a> {
    fn of(definition: &Definition<'_>, rt: &'a TokenStream) -> Self {
        let mut text = Self {
            parts: Vec::new(),
            rt,
        };
        let name = definition.ident.unraw().to_string();
        let end = match &definition.body {
            // Braces, so that it is told from a type that was written by hand and has a name only.
            Body::Struct(fields) if matches!(fields.style, Style::Unit) => name + "{}",
            Body::Struct(fields) => text.fields(name, fields),
            Body::Enum(variants) => {
                let mut before = format!("{name}[");
                for (index, Variant { ident, tag, fields }) in variants.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    before += &format!("{comma}{tag} {}", ident.unraw());
                    before = text.fields(before, fields);
                }
                before + "]"
            }
        };
        text.literal(&end);
        text
    }

    /// Adds all but the last literal, which it returns.
    fn fields(&mut self, mut before: String, fields: &Fields<'_>) -> String {
        let (open, close) = match fields.style {
            Style::Named => ("{", "}"),
            Style::Tuple => ("(", ")"),
            Style::Unit => ("", ""),
        };
        before += open;
        for (place, (_, Field { member, ty, .. })) in fields.sent().enumerate() {
            if place > 0 {
                before += ", ";
            }
            if let syn::Member::Named(name) = member {
                before += &format!("{}: ", name.unraw());
            }
            self.literal(&before);
            let rt = self.rt;
            self.parts
                .push(quote_spanned!(ty.span()=> <#ty as #rt::Parcelable>::type_name()));
            before.clear();
        }
        before + close
    }

    fn literal(&mut self, literal: &str) {
        if !literal.is_empty() {
            let rt = self.rt;
            self.parts.push(quote!(#rt::Cow::Borrowed(#literal)));
        }
    }
}
