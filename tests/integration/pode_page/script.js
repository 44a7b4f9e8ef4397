// A front end as users of Pode have it: jQuery, a bare WebSocket, {"message": …} out, and whatever comes in.
$(document).ready(() => {
    $('#bc-form').submit(function(e) {
        e.preventDefault();
        ws.send(JSON.stringify({
            message: $('input[name=message]').val()
        }));
        $('input[name=message]').val('');
    });

    var ws = new WebSocket(`ws://${location.host}/msg`);

    ws.onmessage = function(evt) {
        $('#messages').append($('<p>').text(evt.data));
    }
});
