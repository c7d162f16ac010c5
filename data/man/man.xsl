<?xml version="1.0" encoding="UTF-8"?>
<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- DocBook to man, by Debian's docbook-xsl. The XML catalog resolves the URL, without network. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:import href="http://docbook.sourceforge.net/release/xsl/current/manpages/docbook.xsl"/>

  <xsl:param name="version"/>

  <xsl:param name="man.output.quietly" select="1"/>
  <xsl:param name="refentry.meta.get.quietly" select="1"/>
  <xsl:param name="man.authors.section.enabled" select="0"/>
  <xsl:param name="man.copyright.section.enabled" select="0"/>
  <!-- With the default "org.architect.Node" loses its end, since every dot counts as three. -->
  <xsl:param name="man.th.title.max.length" select="60"/>

  <!-- There is no date here and below. It would be the day of the build, and the same source would
       produce other pages every day. -->
  <xsl:template name="top.comment">
    <xsl:text>.\" Part of architect-node; LGPL-2.1-or-later.&#10;</xsl:text>
    <xsl:text>.\" Made of DocBook by docbook-xsl: change data/man/*.xml or dbus-interfaces/*.xml instead.&#10;</xsl:text>
  </xsl:template>

  <xsl:template name="TH.title.line">
    <xsl:param name="title"/>
    <xsl:param name="section"/>
    <xsl:call-template name="mark.subheading"/>
    <xsl:text>.TH "</xsl:text>
    <xsl:value-of select="$title"/>
    <xsl:text>" "</xsl:text>
    <xsl:value-of select="$section"/>
    <xsl:text>" "" "architect-node </xsl:text>
    <xsl:value-of select="$version"/>
    <xsl:text>" "architect-node"&#10;</xsl:text>
    <xsl:call-template name="mark.subheading"/>
  </xsl:template>
</xsl:stylesheet>
