"""A login form guards the upgrade: who is not logged in gets no socket, who logs out loses theirs.

    twistd -n --pidfile= pode-signals --app auth_form:service

Then open http://localhost:8091/ and log in as ada (lovelace) or alan (turing), best in two browsers. Each log-in and
log-out is broadcast to the members; log-out closes that user's connections with 4000. A member's connections are one
group of the name "Members", so that they can be found. Behind the button is a local connection.
"""

import hmac
import secrets
from html import escape

from klein import Klein
from twisted.internet.task import deferLater
from werkzeug.exceptions import Forbidden, Unauthorized
from zope.interface import Interface, implementer

from pode_signals import Endpoint, Scope, Signals, SignalsService

USERS = {"ada": "lovelace", "alan": "turing"}

LOGIN = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Log in</title>
<p id="said">{said}</p>
<form method="post" action="/login">
  <input type="hidden" name="token" value="{token}">
  <input name="user" placeholder="user"> <input name="password" type="password" placeholder="password">
  <input type="submit" value="Log in">
</form>
</html>
"""

MEMBERS = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Members</title>
<p>You are <b id="user">{user}</b>.</p>
<form method="post" action="/logout">
  <input type="hidden" name="token" value="{token}">
  <input type="submit" value="Log out">
</form>
<form id="form"><input id="text"><input type="submit" value="Say"></form>
<button id="count">Count down</button> <span id="number"></span>
<div id="messages"></div>
<script>
  const show = text => {{
    const line = document.createElement("p");
    line.textContent = text;
    document.querySelector("#messages").append(line);
  }};
  const socket = new WebSocket(`ws://${{location.host}}/members`);
  socket.onopen = () => document.body.dataset.state = "open";
  socket.onmessage = event => show(event.data);
  socket.onclose = event => show(`closed: ${{event.code}} ${{event.reason}}`);
  document.querySelector("#form").onsubmit = event => {{
    event.preventDefault();
    socket.send(JSON.stringify({{message: document.querySelector("#text").value}}));
  }};
  document.querySelector("#count").onclick = () => {{
    const local = new WebSocket(`ws://${{location.host}}/countdown`);
    local.onmessage = event => {{ document.querySelector("#number").textContent = event.data; }};
  }};
</script>
</html>
"""

app = Klein()
signals = Signals()


class IVisit(Interface):
    """The component of a session that holds its visit."""


@implementer(IVisit)
class Visit:
    """What the server keeps of one session."""

    def __init__(self, user=None):
        self.token = secrets.token_urlsafe()
        self.user = user


def visit_of(request):
    """The visit that belongs to the request's session; a new one where the request has none."""
    cookies = len(request.cookies)
    session = request.getSession()
    for index in range(cookies, len(request.cookies)):
        request.cookies[index] += b"; HttpOnly; SameSite=Lax"
    if session.getComponent(IVisit) is None:
        session.setComponent(IVisit, Visit())
    return session.getComponent(IVisit)


def begin_visit(request, user):
    """A new session for a user: whoever knew the one before the log-in must not share it afterwards."""
    request.getSession().expire()
    session = request.site.makeSession()
    session.setComponent(IVisit, Visit(user))
    request.addCookie(b"TWISTED_SESSION", session.uid, path=b"/", httpOnly=True, sameSite="lax")


def field(request, name):
    return request.args.get(name.encode("ascii"), [b""])[0].decode("utf-8", "replace")


def check_token(request):
    """Another site's page can post a form here, but it does not know the token."""
    if not hmac.compare_digest(field(request, "token").encode("utf-8"), visit_of(request).token.encode("utf-8")):
        raise Forbidden("The form is out of date.")


def member(request):
    user = visit_of(request).user
    if user is None:
        raise Unauthorized("Log in first.")
    return user


def to_home(request):
    request.setResponseCode(303)
    request.setHeader("Location", "/")


@app.route("/")
def home(request, said=""):
    request.setHeader("Content-Type", "text/html; charset=utf-8")
    visit = visit_of(request)
    page = LOGIN if visit.user is None else MEMBERS
    return page.format(said=escape(said), token=visit.token, user=escape(visit.user or ""))


@app.route("/login", methods=["POST"])
def login(request):
    check_token(request)
    user, password = field(request, "user"), field(request, "password")
    wanted = USERS.get(user, "")
    if not wanted or not hmac.compare_digest(password.encode("utf-8"), wanted.encode("utf-8")):
        request.setResponseCode(403)
        return home(request, "That is not a user and their password.")
    begin_visit(request, user)
    signals.send(f"{user} logged in", name="Members")
    return to_home(request)


@app.route("/logout", methods=["POST"])
def logout(request):
    check_token(request)
    user = member(request)
    request.getSession().expire()
    signals.send(f"{user} logged out", name="Members")
    signals.close("Members", group=user, code=4000, reason="logged out")
    return to_home(request)


@app.route("/members")
def members(request):
    signals.convert(request, name="Members", group=member(request))


@signals.route("/members")
def on_message(event):
    signals.send(f"{event.connection.group}: {event.data.message}", name="Members")


@app.route("/countdown")
async def countdown(request):
    member(request)
    connection = signals.convert(request, name="Countdown", scope=Scope.LOCAL)
    for number in (3, 2, 1, "go"):
        connection.send(str(number))
        await deferLater(signals.clock, 0.2, lambda: None)


service = SignalsService(signals, app.resource(), endpoints=[Endpoint("http", port=8091), Endpoint("ws", port=8091)])
