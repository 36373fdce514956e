// A fetch event listener that asks other servers, named by the parameter `url`.

/** What a server answers, in full. */
async function ask(url) {
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

async function answer(request) {
  const { pathname, searchParams } = new URL(request.url);
  const urls = searchParams.getAll("url");
  switch (pathname) {
    case "/get":
      return Response.json(await ask(urls[0]));
    case "/all":
      return Response.json(await Promise.all(urls.map(ask)));
    case "/stream": {
      const { status, body } = await fetch(urls[0]);
      return new Response(body, { status });
    }
    case "/proxy": {
      const { status, body } = await fetch(urls[0], {
        method: "POST",
        body: request.body,
        duplex: "half",
      });
      return new Response(body, { status });
    }
    default:
      return new Response(`no such route: ${pathname}\n`, { status: 404 });
  }
}

/** A server that cannot be asked is the client's to know. */
async function answerOrTell(request) {
  try {
    return await answer(request);
  } catch (error) {
    return Response.json({ error: error.name, message: error.message }, { status: 502 });
  }
}

addEventListener("fetch", (event) => event.respondWith(answerOrTell(event.request)));
