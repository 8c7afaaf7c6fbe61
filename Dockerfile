# The service in an image of its own: one binary, the C library, nothing else to run or to patch.
# Builds with BuildKit and without it: docker build -t hangup .

FROM debian:bookworm-slim AS build

RUN sed -i 's/^Types: deb$/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources \
	&& apt-get -qq update \
	&& DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends \
		gcc libc6-dev make cmake ninja-build pkg-config dpkg-dev \
		libjansson-dev libmd-dev libsqlite3-dev >/dev/null

# TLS ends in front of the service, but Debian's libmicrohttpd brings GnuTLS and seven libraries
# more, over half of what would be the image. So it is built from Debian's source, with Debian's
# patches, and linked into the binary; without TLS its licence (eCos) allows that in anybody's
# service.
WORKDIR /tmp/microhttpd
RUN apt-get -qq source libmicrohttpd >/dev/null && cd libmicrohttpd-* \
	&& CFLAGS="-O2 -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2" \
		./configure --quiet --prefix=/usr/local --disable-shared --disable-https --disable-nls \
		--disable-doc --disable-examples --disable-curl --disable-httpupgrade \
		--disable-bauth --disable-dauth --disable-postprocessor \
	&& make -s -C src/include install \
	&& make -s -C src/microhttpd -j "$(nproc)" install \
	&& make -s install-pkgconfigDATA \
	&& install -D -m 0644 debian/copyright /usr/local/share/doc/libmicrohttpd/copyright

WORKDIR /src
COPY . .
ARG COMMIT=
RUN cmake --preset release -D HANGUP_STATIC_LIBS=ON -D HANGUP_COMMIT="$COMMIT" >/dev/null \
	&& cmake --build --preset release \
	&& DESTDIR=/out cmake --install build/release --prefix /usr --strip
# What the binary is linked with, where it looks for it: the C library and its loader. Anything
# more is a library that has slipped in. The licences come along.
RUN set -e; for file in $(ldd /out/usr/bin/* | grep -o '/[^ ]*'); do \
		case $file in \
		*/libc.so.* | */libm.so.* | */ld-linux*) ;; \
		*) echo "unexpected: $file"; exit 1 ;; \
		esac; \
		install -D "$file" "/out$file"; \
	done; \
	for licence in /usr/share/doc/libc6 /usr/share/doc/libjansson4 \
		/usr/share/doc/libmd0 /usr/share/doc/libsqlite3-0 \
		/usr/local/share/doc/libmicrohttpd; do \
		install -D -m 0644 "$licence/copyright" \
			"/out/usr/share/doc/${licence##*/}/copyright"; \
	done; \
	install -d -m 0700 /volumes/data

# ---- What is shipped ----------------------------------------------------------------------------
FROM scratch

COPY --from=build /out /
COPY --from=build --chown=65532:65532 /volumes /

ARG VERSION=
ARG COMMIT=
LABEL org.opencontainers.image.title="hangup" \
	org.opencontainers.image.description="A REST service whose requests live as long as somebody wants their answer" \
	org.opencontainers.image.licenses="MIT-0" \
	org.opencontainers.image.version="$VERSION" \
	org.opencontainers.image.revision="$COMMIT"

# SQLite and imports keep temporary files; beside the data there is room, and nothing else is
# writable when the root file system is read-only.
ENV LISTEN_ADDR=0.0.0.0 \
	DATABASE_URL=sqlite:/data/hangup.db \
	LOG_FORMAT=json \
	TMPDIR=/data

USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
	CMD ["/usr/bin/hangup", "healthcheck"]
ENTRYPOINT ["/usr/bin/hangup"]
CMD ["serve"]
