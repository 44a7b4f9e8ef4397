"""Signals in a Twisted application that exists already, with its own service, Site and port.

    twistd -n --pidfile= -y embedded.py

What signals add are the lines between the two comments; everything else was there before. Clients connect to
ws://localhost:8091/news; whatever is posted to http://localhost:8091/publish reaches them.
"""

from klein import Klein
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application, MultiService
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site

from pode_signals import Signals

app = Klein()


@app.route("/about")
def about(request):
    return "An application that was here before.\n"


# signals from here
signals = Signals()


@app.route("/news")
def news(request):
    signals.convert(request, name="News")


@app.route("/publish", methods=["POST"])
def publish(request):
    return f"recipients: {signals.send(request.content.read().decode('utf-8'), name='News').recipients}\n"


site = Site(signals.resource(app.resource()), timeout=60, parsePOSTFormSubmission=False)
# to here

application = Application("embedded")
services = MultiService()
services.setServiceParent(application)
port = serverFromString(reactor, "tcp:8091:interface=127.0.0.1")
StreamServerEndpointService(port, site).setServiceParent(services)
