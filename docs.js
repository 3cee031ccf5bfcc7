// What Swagger UI shows, and how. Keys stay in the memory of the page.
SwaggerUIBundle({
	url: document.querySelector('link[rel="service-desc"]').href,
	dom_id: "#docs",
	deepLinking: true,
	defaultModelsExpandDepth: 0,
	displayRequestDuration: true,
	persistAuthorization: false,
	validatorUrl: null,
	// Behind a proxy the server may not know that the browser came by HTTPS. The page
	// may only call the server that it is from.
	requestInterceptor: (request) => {
		const url = new URL(request.url, location.href);
		request.url = location.origin + url.pathname + url.search;
		return request;
	},
});
