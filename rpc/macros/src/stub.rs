//! The service side: `EchoStub<T>`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::{
    allow, describe,
    parse::{Interface, Method},
};

/// The stub's type and what it can do. `rt` is where our names are.
pub(crate) fn expand(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface { item, stub, .. } = interface;
    let (vis, name) = (&item.vis, &item.ident);
    let allow = allow();
    let doc = format!("Offers a service that implements [`{name}`] as an object.");
    let basics = basics(interface, rt);
    let dispatch = dispatch(interface, rt);
    quote! {
        #[doc = #doc]
        #allow
        #vis struct #stub<T> {
            service: #rt::Arc<T>,
            options: #rt::StubOptions,
        }

        #basics
        #dispatch

        #allow
        impl<T> ::core::fmt::Debug for #stub<T> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!(#stub)).field("options", &self.options).finish_non_exhaustive()
            }
        }

        #allow
        impl<T: #name> ::core::convert::From<#stub<T>> for #rt::RemoteObject {
            fn from(stub: #stub<T>) -> Self {
                stub.into_object()
            }
        }
    }
}

/// What every stub has.
fn basics(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        item, stub, proxy, ..
    } = interface;
    let (vis, name) = (&item.vis, &item.ident);
    let allow = allow();
    quote! {
        #allow
        impl<T: #name> #stub<T> {
            /// Offers `service`, its requests side by side.
            #vis fn new(service: T) -> Self {
                Self::from_arc(#rt::Arc::new(service))
            }

            /// Offers a service that is shared with others.
            #vis fn from_arc(service: #rt::Arc<T>) -> Self {
                Self { service, options: ::core::default::Default::default() }
            }

            /// Offers `service`, its requests run as the options say.
            #vis fn with_options(service: T, options: #rt::StubOptions) -> Self {
                Self { service: #rt::Arc::new(service), options }
            }

            /// The service.
            #vis fn service(&self) -> &#rt::Arc<T> {
                &self.service
            }

            /// The object, to be registered or passed.
            #vis fn into_object(self) -> #rt::RemoteObject {
                #rt::RemoteObject::new(self)
            }

            /// The object, to be called or passed as an argument.
            #vis fn into_proxy(self) -> #proxy {
                #proxy::new(self.into_object())
            }
        }
    }
}

/// `impl RemoteStub`.
fn dispatch(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        item,
        stub,
        proxy,
        methods,
        ..
    } = interface;
    let name = &item.ident;
    let allow = allow();
    let arms = methods.iter().map(|method| arm(interface, method, rt));
    let describe = describe::expand(interface, rt);
    // `__T`: the arms name types of the user's, and one of them may be a `T`.
    quote! {
        #allow
        #[#rt::async_trait]
        impl<__T: #name> #rt::RemoteStub for #stub<__T> {
            fn descriptor(&self) -> &str {
                <#proxy as #rt::Proxy>::DESCRIPTOR
            }

            fn methods(&self) -> #rt::Vec<#rt::MethodHash> {
                ::core::clone::Clone::clone(&<#proxy as #rt::Proxy>::interface().methods)
            }

            fn options(&self) -> #rt::StubOptions {
                self.options
            }

            #describe

            async fn on_remote_request(
                &self,
                caller: &#rt::Caller,
                code: u32,
                data: &mut #rt::Parcel,
                reply: &mut #rt::Parcel,
            ) -> ::core::result::Result<(), #rt::HandlerError> {
                match code {
                    #(#arms)*
                    _ => ::core::result::Result::Err(#rt::HandlerError::UnknownMethod),
                }
            }
        }
    }
}

/// What one code runs.
fn arm(interface: &Interface, method: &Method, rt: &TokenStream) -> TokenStream {
    let Interface { item, proxy, .. } = interface;
    let name = &item.ident;
    let Method {
        ident, cfgs, args, ..
    } = method;
    let constant = method.constant();
    // That of the signature, wherever the type beside it comes from.
    let data = quote!(data);
    let mut reads = Vec::new();
    let mut values = Vec::new();
    if method.takes_caller {
        values.push(if method.is_async {
            quote!(caller)
        } else {
            quote!(&caller)
        });
    }
    for (index, arg) in args.iter().enumerate() {
        let (local, owned) = (format_ident!("arg{index}"), arg.owned.tokens(rt));
        reads.push(quote_spanned!(arg.ty.span()=> let #local = #rt::read::<#owned>(#data)?;));
        values.push(if arg.lent {
            quote!(&#local)
        } else {
            quote!(#local)
        });
    }
    let run = if method.is_async {
        quote!(<__T as #name>::#ident(&self.service, #(#values),*).await)
    } else {
        quote! {{
            let service = #rt::Arc::clone(&self.service);
            let caller = ::core::clone::Clone::clone(caller);
            #rt::blocking(move || <__T as #name>::#ident(&service, #(#values),*)).await
        }}
    };
    let answer = if method.one_way {
        quote!(#run; ::core::result::Result::Ok(()))
    } else {
        quote!(let result = #run; #rt::answer(reply, &result))
    };
    quote! {
        #(#cfgs)*
        #proxy::#constant => {
            #(#reads)*
            #answer
        }
    }
}
