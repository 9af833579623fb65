# sipproxy64 alone in an image: one static program, no shell, no libraries.
#
#   docker build -t sipproxy64 .
#   docker run --network host -v /etc/sipproxy64.conf:/etc/sipproxy64.conf:ro sipproxy64
#
# It needs the host's network: it speaks from the addresses that stand for the
# phones, on a few thousand ports. Keep its key: -v sipproxy64:/state and
# "secret /state/secret" in the file.
FROM rust:1-slim-trixie AS build
WORKDIR /sipproxy64
COPY . .
RUN mkdir -p image/state && etc/build-static image/sipproxy64

FROM scratch
COPY --from=build /sipproxy64/image/sipproxy64 /sipproxy64
COPY --from=build --chown=564:564 /sipproxy64/image/state /state
USER 564:564
ENTRYPOINT ["/sipproxy64"]
CMD ["--config", "/etc/sipproxy64.conf"]
